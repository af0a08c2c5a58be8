from hypothesis import settings

# The machine may be busy.
settings.register_profile("models", deadline=None)
settings.load_profile("models")
