"""What a likelihood is: how measured values scatter about a prediction."""

import abc
from collections.abc import Sequence
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike
from numpyro.distributions import Distribution

from .._parameters import Numbers
from ._argument import Argument
from ._kernel import forwards, still
from ._support import Support

Outputs = tuple[Array, ...]
Outside = Literal["infinite", "error"]


class AbstractLikelihood(eqx.Module):
    """How measured values scatter about a model's prediction.

    A likelihood never sums: `nll` is elementwise, one number a measured value, and the
    objective is the only place that reduces. Each of a family's parameters may be a number,
    which is a known constant; a `Parameter`, fitted with the model's; or `predicted()`, so that
    the model returns it.

    A model returns one number a value where one parameter is predicted, shaped like `y`. Where
    there are more, they are the last axis: `(*y.shape, likelihood.num_outputs)`, in the
    order of the family's parameters. Whatever link it was predicted through, a parameter
    reaches the family's `kernel` on a scale on which every number is valid (a logarithm, a
    logit), called an output here.
    """

    @property
    @abc.abstractmethod
    def arguments(self) -> tuple[Argument, ...]:
        """The family's parameters, in the order in which a model predicts them."""

    @property
    @abc.abstractmethod
    def support(self) -> Support:
        """The values that can be measured."""

    @abc.abstractmethod
    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """The NLL as a function of the outputs, for values inside the support."""

    @abc.abstractmethod
    def from_outputs(self, outputs: Outputs) -> Distribution:
        """The NumPyro distribution of the observation, given the outputs."""

    def distribution(self, prediction: Array) -> Distribution:
        """The NumPyro distribution of the observation, given the model's prediction."""
        return self.from_outputs(self.outputs(prediction))

    @property
    def parts(self) -> "tuple[AbstractLikelihood, ...]":
        """The likelihoods that this one is made of; their parameters follow its own."""
        return ()

    @property
    def event_ndim(self) -> int:
        """How many trailing axes of `y` make one value: 0 for numbers, 1 for vectors."""
        return 0

    @property
    def num_outputs(self) -> int:
        """How many numbers the model has to predict for each value."""
        own = sum(argument.width for argument in self.arguments if argument.is_predicted)
        return own + sum(part.num_outputs for part in self.parts)

    @property
    def is_gradient(self) -> bool:
        """Whether the derivative of `nll` is that of its value, as it is unless a remedy is on."""
        return all(part.is_gradient for part in self.parts)

    def nll(self, prediction: ArrayLike, y: Numbers, *, outside: Outside = "infinite") -> Array:
        """The negative log-likelihood of each value of `y`, in nats, all constants kept.

        Shaped like `y`, in the dtype of `prediction`; `y` may also be integer or bool. A
        prediction that is outside its link's range, or NaN, has an infinite NLL.

        A value outside the support raises `ValueError` in eager code. Under `jit` there are no
        values to look at: there its NLL is infinite, or with `outside="error"` the compiled
        code raises when it runs. It is never NaN. Shapes that do not match raise `ValueError`.
        """
        predicted = jnp.asarray(prediction)
        values = self.as_target(y, predicted)
        self.check_shapes(predicted, values)
        values, inside = self._inside(values, outside)
        valid = _all_of(inside, inside.ndim - self.event_ndim)
        valid = valid & _all_of(~jnp.isnan(predicted), valid.ndim)
        outputs = self.outputs(self._guarded(_without_nan(predicted), values))
        for output in outputs:
            valid = valid & _all_of(~jnp.isnan(output), valid.ndim)
        each = self.kernel(tuple(map(_without_nan, outputs)), values)
        return jnp.where(valid & jnp.isfinite(each), each, jnp.inf)

    def outputs(self, prediction: Array) -> Outputs:
        """The distribution's parameters for each value, on the scales of the kernel.

        NaN, with a derivative of zero, where the prediction is outside its link's range.
        """
        batch = self.batch_shape(prediction)
        columns = prediction[..., None] if self._is_bare else prediction
        own = [argument.width if argument.is_predicted else 0 for argument in self.arguments]
        # One split, not a slice each: backwards that is one concatenation.
        sizes = own + [part.num_outputs for part in self.parts]
        pieces = iter(jax.lax.split(columns, sizes, axis=columns.ndim - 1))
        found: list[Array] = []
        for argument, piece in zip(self.arguments, pieces, strict=False):
            if argument.is_predicted:
                found.append(argument.from_prediction(piece))
            else:
                found.append(argument.constant(batch, prediction.dtype))
        for part, piece in zip(self.parts, pieces, strict=True):
            found.extend(part.outputs(piece.squeeze(-1) if part._is_bare else piece))
        return tuple(found)

    def split(self, outputs: Outputs) -> tuple[Outputs, list[Outputs]]:
        """The outputs of this likelihood itself, and those of each of its parts."""
        at = len(self.arguments)
        own, of_parts = outputs[:at], []
        for part in self.parts:
            of_parts.append(outputs[at : at + part.output_count])
            at += part.output_count
        return own, of_parts

    @property
    def output_count(self) -> int:
        """How many outputs the kernel takes."""
        return len(self.arguments) + sum(part.output_count for part in self.parts)

    def batch_shape(self, prediction: Array) -> tuple[int, ...]:
        """The shape of the NLL that belongs to a prediction."""
        if self._is_bare:
            return prediction.shape
        if prediction.ndim == 0 or prediction.shape[-1] != self.num_outputs:
            raise ValueError(
                f"{self._family}: the prediction has shape {prediction.shape}: its last axis must "
                f"hold what this likelihood takes for each value: {self._outputs_in_words()}."
            )
        return prediction.shape[:-1]

    def event_shape(self, y: Array) -> tuple[int, ...]:
        """The trailing shape of `y` that makes one value: nothing, for numbers."""
        return ()

    def as_target(self, y: Numbers, prediction: Array) -> Array:
        """`y` as an array in the dtype of the prediction; raises `ValueError` unless it can be."""
        if not jnp.issubdtype(prediction.dtype, jnp.floating):
            raise ValueError(
                f"{self._family}: the prediction is {prediction.dtype}: it must be floating, or "
                "there is nothing to differentiate."
            )
        if not hasattr(y, "dtype"):  # a list of numbers has no dtype to disagree with
            return jnp.asarray(y, dtype=prediction.dtype)
        values = jnp.asarray(y)
        if jnp.issubdtype(values.dtype, jnp.integer) or values.dtype == jnp.bool_:
            return values.astype(prediction.dtype)
        if values.dtype != prediction.dtype:
            raise ValueError(
                f"{self._family}: the values are {values.dtype}, the prediction is "
                f"{prediction.dtype}: convert one of them, so that no digits are lost or made up "
                "unseen."
            )
        return values

    def check_shapes(self, prediction: Array, y: Array) -> None:
        """Raises `ValueError` unless `y` has exactly the shape that belongs to a prediction."""
        wanted = self.batch_shape(prediction) + self.event_shape(y)
        if wanted != y.shape:
            raise ValueError(
                f"{self._family}: the prediction has shape {prediction.shape}, the values have "
                f"shape {y.shape}, where {wanted} was expected. They must agree exactly: nothing "
                f"is broadcast. Let the model (or `observe`) return {self._outputs_in_words()} "
                "for each measured value."
            )

    def check_support(self, values: np.ndarray, name: str) -> None:
        """Raises `ValueError` where a measured value lies outside the support."""
        bad = np.argwhere(~np.asarray(self.support.contains(values)))
        if bad.size:
            index = tuple(int(i) for i in bad[0])
            what = "y" if name == "nll" else "values"
            raise ValueError(
                f"{name}: {what}{list(index) if index else ''} = {values[index]} under "
                f"{self._whose()}. {self.support.mend}"
            )

    def _guarded(self, prediction: Array, y: Array) -> Array:
        """The prediction, without derivatives where it or its NLL is infinite."""
        outputs = self.outputs(jax.lax.stop_gradient(prediction))
        lost = ~jnp.isfinite(self.kernel(tuple(map(_without_nan, outputs)), y))
        lost = lost | ~_all_of(jnp.isfinite(prediction), lost.ndim)
        lost = lost.reshape(lost.shape + (1,) * (prediction.ndim - lost.ndim))
        return still(prediction, jnp.broadcast_to(lost, prediction.shape))

    def _inside(self, y: Array, outside: Outside) -> tuple[Array, Array]:
        """Values all of which are inside the support, and which of them were so before."""
        if outside not in ("infinite", "error"):
            raise ValueError(f'nll: outside={outside!r}: give "infinite" or "error".')
        support = self.support
        inside = support.contains(y)
        if not isinstance(inside, jax.core.Tracer):
            if not bool(jnp.all(inside)):
                self.check_support(np.asarray(y), "nll")
        elif outside == "error":
            message = f"nll: a value outside the support: {self._whose()}. {support.mend}"
            y = eqx.error_if(y, ~jnp.all(inside), message)
        stand_in = jnp.broadcast_to(jnp.asarray(support.inside, y.dtype), y.shape)
        return jnp.where(inside, y, stand_in), inside

    @property
    def _family(self) -> str:
        return type(self).__name__

    @property
    def _is_bare(self) -> bool:
        # One number a value needs no axis of its own.
        return self.num_outputs == 1 and self.event_ndim == 0

    def _whose(self) -> str:
        return f"{self._family}, whose values are {self.support.words}"

    def _outputs_in_words(self) -> str:
        if self._is_bare:
            return "one number"
        names = ", ".join(self._predicted_names())
        return f"{self.num_outputs} numbers ({names})" if names else "an empty last axis"

    def _predicted_names(self) -> Sequence[str]:
        names = [
            argument.name.rpartition(": ")[2] + (f" ({argument.width})" if argument.shape else "")
            for argument in self.arguments
            if argument.is_predicted
        ]
        for part in self.parts:
            names += [f"{part._family} {name}" for name in part._predicted_names()]
        return names


class AbstractRegularLikelihood(AbstractLikelihood):
    """A family whose Fisher information is known, so that a fit can use its curvature.

    Every output is shaped like `y`.
    """

    @property
    def majorises(self) -> bool:
        """Whether `curvature` may be much larger than the information, as at a kink.

        A step is then shorter in its measure than in standard errors.
        """
        return False

    def _guarded(self, prediction: Array, y: Array) -> Array:
        # The partial derivatives are written out, and zero where they are not finite.
        return prediction

    @abc.abstractmethod
    def information(self, outputs: Outputs) -> Array:
        """The Fisher information of one value in its outputs: shape `(k, k, *y.shape)`."""

    def curvature(self, outputs: Outputs, y: Array) -> Array:
        """A positive curvature shaped like `information`, for the steps of a fit.

        The information itself, unless the family knows one that depends on `y`, equals the
        information in expectation or at the optimum, and makes steps from a bad start shorter.
        """
        return self.information(outputs)


class AbstractByCases(AbstractLikelihood):
    """A likelihood of single values that is another one's, or something else, case by case.

    Its derivatives are taken forwards, so that those of the other cases cannot spoil them.
    """

    @abc.abstractmethod
    def by_cases(self, outputs: Outputs, y: Array) -> Array:
        """The NLL, as `kernel` gives it."""

    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """The formula above."""
        batch = y.ndim - self.event_ndim
        columns = [_columns(each, batch) for each in (*outputs, y)]
        # Not the arrays themselves, which a function that is differentiated must not hold on to.
        pieces = [(each.shape, len(own)) for each, own in zip((*outputs, y), columns, strict=True)]
        arrays, rest = eqx.partition(self, eqx.is_array)

        def value(flat: tuple[Array, ...], arrays: AbstractByCases) -> Array:
            likelihood = eqx.combine(arrays, rest)
            at = iter(flat)
            *outputs, y = (
                jnp.stack([next(at) for _ in range(count)], axis=-1).reshape(shape)
                if len(shape) > batch
                else next(at)
                for shape, count in pieces
            )
            return likelihood.by_cases(tuple(outputs), y)

        return forwards(value, tuple(one for own in columns for one in own), arrays)

    def _guarded(self, prediction: Array, y: Array) -> Array:
        # Slopes that are not finite are zero.
        return prediction


def _columns(x: Array, batch: int) -> list[Array]:
    """The numbers behind the first axes, each as an array of its own."""
    return [x[(..., *index)] for index in np.ndindex(x.shape[batch:])]


def diagonal(*entries: Array) -> Array:
    """A matrix for each value, shape `(k, k, *y.shape)`, from the entries of its diagonal."""
    zero = jnp.zeros_like(entries[0])
    size = range(len(entries))
    return matrix([[entries[i] if i == j else zero for j in size] for i in size])


def matrix(rows: list[list[Array]]) -> Array:
    """A matrix for each value, shape `(k, k, *y.shape)`, from its rows."""
    return jnp.stack([jnp.stack(row) for row in rows])


def _all_of(flags: Array, ndim: int) -> Array:
    """Whether all of what lies behind the first axes is true."""
    behind = tuple(range(ndim, flags.ndim))
    return jnp.all(flags, axis=behind) if behind else flags


def _without_nan(output: Array) -> Array:
    return jnp.where(jnp.isnan(output), jnp.zeros_like(output), output)
