"""`python -m services.extractor` runs the extractor."""

from services.common import runtime
from services.extractor.bootstrap import build
from services.extractor.settings import ExtractorSettings

if __name__ == "__main__":
    runtime.main("extractor", ExtractorSettings.from_env, build)
