"""What a task means on the wire: a *reader* makes arrays of items, an *answer* makes objects of a network's outputs."""

from server.tasks.items import ONE_OF_THEM, PLAIN, Item, Kind, Numbers, Parameters, PredictRequest, kind_of
from server.tasks.task import Task, make_task

__all__ = [
    "ONE_OF_THEM",
    "PLAIN",
    "Item",
    "Kind",
    "Numbers",
    "Parameters",
    "PredictRequest",
    "Task",
    "kind_of",
    "make_task",
]
