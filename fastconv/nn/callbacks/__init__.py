"""What happens round training: stopping early, saving, logging, changing the learning rate."""

from .base import Callback, CallbackList, LambdaCallback, TerminateOnNaN
from .progress import ProgbarLogger
from .records import CSVLogger, History, TensorBoard
from .watchers import EarlyStopping, LearningRateScheduler, ModelCheckpoint, ReduceLROnPlateau

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
]
