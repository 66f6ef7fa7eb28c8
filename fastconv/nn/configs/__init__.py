"""Objects of `fastconv.nn` as configurations, in Keras's form: what files of models, clones and `get_config` hold."""

from .objects import deserialize, resolved, serialize, without_compilation
from .recording import Configured, parameters_of, recorded, refuse_others
from .registry import (
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)

__all__ = [
    "Configured",
    "custom_object_scope",
    "deserialize",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "parameters_of",
    "recorded",
    "refuse_others",
    "register_keras_serializable",
    "resolved",
    "serialize",
    "without_compilation",
]
