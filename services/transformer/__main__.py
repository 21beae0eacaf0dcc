"""`python -m services.transformer` runs the transformer."""

from services.common import runtime
from services.transformer.bootstrap import build
from services.transformer.settings import TransformerSettings

if __name__ == "__main__":
    runtime.main("transformer", TransformerSettings.from_env, build)
