"""What every test runs under: float64, no silent promotion, shapes and types checked."""

import os
import shutil
import tempfile
import zlib
from pathlib import Path

os.environ["MPLBACKEND"] = "Agg"  # before anything imports matplotlib: tests have no screen

import hypothesis
import jax
import jaxtyping
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# Most of the time goes to compiling, and the XLA of older JAX takes up to twice as long over a
# fusion by its newer emitters as by those before, which later ones no longer have. Notebooks, and
# all tests with newer JAX, are compiled as a user's code is. XLA reads this when it begins.
OLDER_EMITTERS = "--xla_cpu_use_fusion_emitters=false"
# A worker inherits what the process that shares out the tests has set.
flags = os.environ.get("XLA_FLAGS", "").replace(OLDER_EMITTERS, "").strip()
AS_A_USER = os.environ | {"XLA_FLAGS": flags}
if jax.__version_info__ < (0, 12):
    os.environ["XLA_FLAGS"] = f"{flags} {OLDER_EMITTERS}".strip()

# Annotations are checked at run time in tests only, so users pay nothing for them. The hook must
# be in place before the first import of the package, in each worker of pytest-xdist, and it stays:
# a module may be imported late.
install_import_hook("likelihax", "beartype.beartype")

# The first example compiles, so a deadline would be about that; the same examples at every run.
hypothesis.settings.register_profile("house", deadline=None, derandomize=True)
hypothesis.settings.load_profile("house")

ROOT = Path(__file__).resolve().parent.parent


_COMPILED = "JAX_COMPILATION_CACHE_DIR"


def pytest_configure(config):
    """One folder for what takes long to compile, for this run alone, shared by its workers.

    The same fit stands in a page, an example and a test: it is compiled once.
    """
    if not hasattr(config, "workerinput") and _COMPILED not in os.environ:
        config._compiled = os.environ[_COMPILED] = tempfile.mkdtemp(prefix="likelihax-compiled-")
    jax.config.update("jax_compilation_cache_dir", os.environ[_COMPILED])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def pytest_unconfigure(config):
    """Leaves nothing behind."""
    if hasattr(config, "_compiled"):
        shutil.rmtree(config._compiled, ignore_errors=True)
        del os.environ[_COMPILED]


@pytest.fixture
def getkey(request):
    """A source of fresh random keys, the same ones at every run of the same test."""
    key = jax.random.key(zlib.crc32(request.node.nodeid.encode()))

    def fresh():
        nonlocal key
        key, used = jax.random.split(key)
        return used

    return fresh


@pytest.fixture
def environment_of_a_user():
    """For a process of its own: nothing in it is compiled in a special way."""
    return AS_A_USER


@pytest.fixture
def as_a_user():
    """Lets wrong types past the annotations, which only tests check, to what users meet."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


# These compile much, and what they witness does not depend on how well: without LLVM's costly
# passes they take a sixth to a half less time. Last digits, bits and times are witnessed by the
# others, whose code is compiled as a user's is.
LITTLE_OPTIMISED = {
    "test_bad_input",
    "test_bootstrap",
    "test_calibration",
    "test_compare",
    "test_ensembles",
    "test_evidence_terms",
    "test_experiments",
    "test_families_fitted",
    "test_information",
    "test_inputs",
    "test_kinks",
    "test_learned",
    "test_marginal",
    "test_numpyro_model",
    "test_posterior",
    "test_profiles",
    "test_refits",
    "test_residuals",
    "test_residuals_of_several",
    "test_sample",
    "test_strategies",
}
# So are pages by older JAX; newer ones, which compile sooner anyway, take them as a user would.
if jax.__version_info__ < (0, 12):
    LITTLE_OPTIMISED.add("test_docs")


@pytest.fixture(autouse=True, scope="module")
def as_little_optimised_as_may_be(request):
    """Leaves out what makes compiled code fast, where compiling takes longer than running."""
    little = request.module.__name__ in LITTLE_OPTIMISED
    jax.config.update("jax_disable_most_optimizations", little)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(autouse=True, scope="module")
def forget_what_was_compiled():
    """Thousands of small compiled functions, kept to the end, would fill the memory."""
    yield
    jax.clear_caches()
    from likelihax import _compile

    _compile._kept.clear()


@pytest.fixture(scope="session")
def reference():
    """The folder of certified problems, laid beside the checkout rather than in it."""
    folder = ROOT.parent / "shared" / "reference"
    if not folder.is_dir():
        pytest.skip(f"no certified problems: {folder} is not there")
    return folder
