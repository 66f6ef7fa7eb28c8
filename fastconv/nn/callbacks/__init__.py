"""What happens round training: stopping early, saving, logging, changing the learning rate."""

from .base import Callback, CallbackList, LambdaCallback, TerminateOnNaN
from .monitors import RemoteMonitor, TensorBoard
from .progress import ProgbarLogger
from .records import CSVLogger, History
from .resuming import BackupAndRestore, SwapEMAWeights
from .watchers import EarlyStopping, LearningRateScheduler, ModelCheckpoint, ReduceLROnPlateau

__all__ = [
    "BackupAndRestore",
    "RemoteMonitor",
    "SwapEMAWeights",
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
