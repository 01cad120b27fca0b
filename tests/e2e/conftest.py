"""One running product for all end-to-end tests of a session."""

import pytest
from tests.support.product import Product, simulated_settings, simulator


@pytest.fixture(scope="session")
def providers():
    with simulator() as address:
        yield address


@pytest.fixture(scope="session")
def product(providers, tmp_path_factory):
    with Product(tmp_path_factory.mktemp("product"), simulated_settings(providers)) as running:
        yield running
