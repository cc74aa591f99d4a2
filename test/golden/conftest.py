import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "reference"))


def pytest_addoption(parser):
    parser.addoption("--rewrite", action="store_true", help="write the expected outputs anew; review the diff as code")


@pytest.fixture
def rewrite(request):
    return request.config.getoption("--rewrite")
