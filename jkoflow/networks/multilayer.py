"""Multilayer networks with mean-field scaling: each unit takes the average of the units before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..arguments import generator, is_among, is_whole, working_precision
from ..measures.base import Array, finite_array
from ..status import InvalidProblem
from .activations import Activation, relu
from .multilayer_layers import Convolution, Dense, Layer, Wired, wire
from .multilayer_losses import LOSSES, Loss

Weights = tuple[Array, ...]


class MultilayerNetwork:
    """ŷ(x) through L layers of weights, hidden units averaged and not summed.

        h_1 = W_1 x,    h_l = (1/n_{l−1}) W_l σ(h_{l−1}),    ŷ = h_L,

    each with biases where a layer has them. The gradient of a loss with respect to an entry of
    W_l is of order 1/(n_{l−1} n_l), where the numbers of inputs and of outputs count as 1; SGD
    multiplies it by `rates` so that every weight moves by order 1 in time of order 1.

    Parameters
    ----------
    inputs : int or (height, width) or (height, width, channels)
        Inputs x have the shape (batch, d), images row by row, the channels of a pixel together.
    layers : sequence of Dense or Convolution
        The last one is the output: it is linear, and its width counts as 1.
    activation : Activation
        Of all hidden units.
    loss : {"square", "logistic", "cross-entropy"} or Loss
        (y − ŷ)²; log(1 + exp(−yŷ)) with y = ±1; −log softmax(ŷ)_y with classes 0 … K−1.

    Raises
    ------
    InvalidProblem
        For layers that do not fit together, or options that do not exist.

    Notes
    -----
    Phan-Minh Nguyen, Mean field limit of the learning dynamics of multilayer neural networks
    (2019). Weights that have mean zero after the first layer make all averages vanish with the
    width; the network then does not move.

    Examples
    --------
    >>> network = MultilayerNetwork(40, five_layers(100))
    >>> network.rates
    (100.0, 10000.0, 10000.0, 10000.0, 100.0)
    >>> theta = network.initial(0)
    >>> [w.shape for w in theta][:2], network(theta, np.ones((3, 40))).shape
    ([(40, 100), (100, 100)], (3, 1))
    """

    def __init__(
        self,
        inputs: int | Sequence[int],
        layers: Sequence[Layer],
        activation: Activation = relu,
        loss: str | Loss = "square",
    ) -> None:
        self.inputs = _input_shape(inputs)
        self.layers = _checked_layers(layers)
        self.wired: tuple[Wired, ...] = wire(self.inputs, self.layers)
        if not isinstance(activation, Activation):
            raise InvalidProblem(
                f"activation must be a jkoflow.networks Activation, not {activation!r:.100}"
            )
        self.activation = activation
        self.loss = _checked_loss(loss)

    @property
    def dim(self) -> int:
        """Dimension d of x."""
        height, width, channels = self.inputs
        return height * width * channels

    @property
    def outputs(self) -> int:
        """Number K of outputs."""
        return self.wired[-1].width

    @property
    def rates(self) -> tuple[float, ...]:
        """n_{l−1} n_l for each layer's weights. A bias, which is not averaged, has n_l."""
        return tuple(w.rate for w in self.wired)

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Of the weights: (inputs of a unit and its bias, units) for each layer."""
        return [w.shape for w in self.wired]

    def initial(self, rng: Any = None, dtype: DTypeLike = np.float64) -> Weights:
        """Independent weights from the layers' initial laws; biases are 0."""
        rng, kind = generator(rng), working_precision(dtype)
        return tuple(w.initial(rng, kind) for w in self.wired)

    def __call__(self, theta: Weights, x: ArrayLike) -> Array:
        """ŷ, shape (b, K), for x (b, d)."""
        theta = self.checked(theta)
        return self._forward(theta, self._rows(x, theta))[-1][1]

    def loss_value(self, theta: Weights, x: ArrayLike, y: ArrayLike) -> float:
        """Mean of ℓ(ŷ(x), y) over the rows."""
        rows, labels = self.checked_data(x, y)
        return float(self.loss.value(self(theta, rows).astype(float), labels).mean())

    def accuracy(self, theta: Weights, x: ArrayLike, y: ArrayLike) -> float:
        """Part of the rows whose class the outputs name."""
        rows, labels = self.checked_data(x, y)
        return float(self.loss.right(self(theta, rows), labels).mean())

    def gradient(self, theta: Weights, x: ArrayLike, y: ArrayLike) -> Weights:
        """∂/∂W_l of `loss_value`, one array for each layer, with no rate multiplied to it."""
        theta = self.checked(theta)
        rows, labels = self.checked_data(x, y)
        kind = theta[0].dtype
        found = self._backward(theta, rows.astype(kind), labels.astype(kind))
        gradients = [w.gradient(theta[k], seen, g) for k, w, seen, g in found]
        return tuple(gradients[::-1])

    def descend(self, theta: Weights, x: Array, y: Array, sizes: Sequence[float]) -> None:
        """In place, W_l ← W_l − sizes_l · n_{l−1} n_l ∂ℓ/∂W_l on a batch; nothing is checked."""
        # A layer's weights may change as soon as its g is known: what lies before it does not see
        # them again, except through the g that was already passed on.
        for k, w, seen, g in self._backward(theta, x, y):
            w.descend(theta[k], seen, g, sizes[k])

    def _forward(self, theta: Weights, x: Array) -> list[tuple[Array, Array]]:
        """For each layer what its units see, and h."""
        height, width, channels = self.inputs
        z, found = x.reshape(len(x), height * width, channels), []
        for w, weights in zip(self.wired, theta, strict=True):
            seen = w.patches(z)
            h = w.forward(seen, weights)
            found.append((seen, h))
            if not w.last:
                z = self.activation(h).reshape(len(x), w.positions, w.width)
        return found

    def _backward(
        self, theta: Weights, x: Array, y: Array
    ) -> Iterator[tuple[int, Wired, Array, Array]]:
        """From the last layer to the first: its number, itself, what it sees, and ∂ℓ/∂h."""
        found = self._forward(theta, x)
        g = self.loss.derivative(found[-1][1], y) / x.dtype.type(len(x))
        for k in range(len(self.wired) - 1, -1, -1):
            w, (seen, _) = self.wired[k], found[k]
            before = w.backward(g, theta[k]) if k else g
            yield k, w, seen, g
            if k:
                h = found[k - 1][1]
                g = np.ascontiguousarray(before).reshape(h.shape) * self.activation.derivative(h)

    def checked(self, theta: Any) -> Weights:
        """θ, if it has this network's shapes, one precision, and finite entries."""
        arrays = tuple(np.asarray(w) for w in theta)
        shapes = [w.shape for w in arrays]
        if shapes != self.shapes:
            raise InvalidProblem(f"theta must have arrays of shapes {self.shapes}, not {shapes}")
        kinds = {w.dtype for w in arrays}
        if len(kinds) > 1 or arrays[0].dtype not in (np.float32, np.float64):
            raise InvalidProblem(f"theta must be all float64 or all float32, not {kinds}")
        if not all(np.isfinite(w).all() for w in arrays):
            raise InvalidProblem("theta holds NaN or infinity")
        return arrays

    def checked_data(self, x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
        """Rows and labels, if they fit the network and its loss."""
        rows = finite_array(x, "x", ndim=2)
        if rows.shape[1] != self.dim or not len(rows):
            raise InvalidProblem(f"x must have shape (b, {self.dim}), not {rows.shape}")
        labels = finite_array(y, "y", shape=(len(rows),))
        self.loss.check(self.outputs, labels)
        return rows, labels

    def _rows(self, x: ArrayLike, theta: Weights) -> Array:
        rows = finite_array(x, "x", ndim=2)
        if rows.shape[1] != self.dim:
            raise InvalidProblem(f"x must have shape (b, {self.dim}), not {rows.shape}")
        return rows.astype(theta[0].dtype)

    def spec(self) -> dict[str, Any]:
        """Identity as JSON."""
        return {
            "network": "MultilayerNetwork",
            "inputs": list(self.inputs),
            "layers": [layer.spec() for layer in self.layers],
            "activation": self.activation.spec(),
            "loss": self.loss.spec(),
        }

    def __repr__(self) -> str:
        widths = " → ".join(str(w.width) for w in self.wired)
        return f"MultilayerNetwork({self.dim} → {widths}, {self.activation!r}, {self.loss!r})"


def equal_widths(
    layers: int,
    width: int,
    *,
    outputs: int = 1,
    first: tuple[float, float] = (0.0, 2**0.5),
    middle: tuple[float, float] = (1.0, 0.1),
    last: tuple[float, float] = (0.0, 0.0),
    bias: bool = False,
) -> list[Layer]:
    """``layers`` layers of weights between ``layers`` − 1 hidden layers of ``width`` units.

    Parameters
    ----------
    layers : int
        At least 2; a network with one hidden layer has two.
    width, outputs : int
    first, middle, last : (mean, std)
        (μ, τ) of the initial laws: N(μ1/d, τ1²/d) for inputs in R^d, N(μ2, τ2²) between hidden
        layers, N(μ3, τ3²) for the outputs.
    bias : bool
        Whether all units have biases, the outputs too.

    Examples
    --------
    >>> [layer.width for layer in equal_widths(4, 100, outputs=10)]
    [100, 100, 100, 10]
    """
    if not is_whole(layers, 2):
        raise InvalidProblem(f"a network needs at least 2 layers, not {layers!r:.100}")
    laws = [first] + [middle] * (int(layers) - 2)
    hidden: list[Layer] = [Dense(width, *law, bias=bias) for law in laws]
    return [*hidden, Dense(outputs, *last, bias=bias)]


def five_layers(width: int, middle_std: float = 0.1) -> list[Layer]:
    """Nguyen's five layers: τ1 = √2, μ2 = 1, τ2 = ``middle_std``, μ3 = τ3 = 0, without biases."""
    return equal_widths(5, width, middle=(1.0, middle_std))


def _input_shape(inputs: Any) -> tuple[int, int, int]:
    shape = inputs if isinstance(inputs, (tuple, list)) else (1, 1, inputs)
    shape = (*shape, 1) if len(shape) == 2 else tuple(shape)
    if len(shape) != 3 or not all(is_whole(n) for n in shape):
        raise InvalidProblem(
            "inputs must be a dimension, (height, width) or (height, width, channels), not "
            f"{inputs!r:.100}"
        )
    return int(shape[0]), int(shape[1]), int(shape[2])


def _checked_layers(layers: Any) -> tuple[Layer, ...]:
    try:
        found = tuple(layers)
    except TypeError as error:
        raise InvalidProblem(f"layers must be a sequence, not {layers!r:.100}") from error
    if len(found) < 2 or not all(isinstance(layer, (Dense, Convolution)) for layer in found):
        raise InvalidProblem(
            "layers must be at least two, each a Dense or a Convolution: the last is the output"
        )
    return found


def _checked_loss(loss: Any) -> Loss:
    if isinstance(loss, Loss):
        return loss
    if not is_among(loss, LOSSES):
        raise InvalidProblem(f"loss must be one of {sorted(LOSSES)}, but is {loss!r:.100}")
    return LOSSES[loss]
