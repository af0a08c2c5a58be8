from hypothesis import settings

# The first call of a PyTorch or SentencePiece kernel is slow, and the machine may be busy.
settings.register_profile("training", deadline=None)
settings.load_profile("training")
