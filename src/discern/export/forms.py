"""Every form that a model can be exported to, by name."""

from difflib import get_close_matches

from discern.errors import ConfigError
from discern.export import onnx_forms, openvino_forms, tensorflow
from discern.export.form import Form

FORMS = {form.name: form for form in (*onnx_forms.FORMS, *openvino_forms.FORMS, *tensorflow.FORMS)}


def form_named(name: str) -> Form:
    """The form of this name; ConfigError, with the nearest, for one that does not exist."""
    if name in FORMS:
        return FORMS[name]
    near = get_close_matches(name, FORMS, 1, cutoff=0.5)
    nearest = f" Did you mean {near[0]}?" if near else ""
    raise ConfigError(f"Unknown form {name!r}.{nearest} Forms: {', '.join(FORMS)}.")
