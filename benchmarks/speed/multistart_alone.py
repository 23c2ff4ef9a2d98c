"""What compiling one lynx-hare fit takes, and what many starts may add; run as a module."""

import jax

import likelihax as lhx
from benchmarks.speed.multistart import MORE
from examples.lynx_hare import data, predictor

jax.config.update("jax_enable_x64", True)


def main() -> None:
    """Prints the seconds of compiling, and `MORE`."""
    print(lhx.fit(lhx.NLL(), predictor(), data()).compile_seconds + MORE)


if __name__ == "__main__":
    main()
