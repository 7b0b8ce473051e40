"""A CUDA device where there is none, for tests on a build of torch without CUDA.

Its tensors say `cuda:N` and keep their values on the CPU. Every operator on them passes `EmulatedCuda.compute`,
which refuses what CUDA refuses (tensors of two devices, generators of the CPU), counts what makes the host
wait, and computes with the values. cuDNN's recurrent layers are imitated in what nnzoo depends on: weights in
one piece of memory or a warning, moved there by flatten_parameters; float16 under autocast; dropout from a
state of their own, which the host waits for; no backward pass in evaluation mode.

    with emulated(devices=2) as cuda:
        ...
        cuda.counts["wait"]
"""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.modules.rnn as torch_rnn
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

aten = torch.ops.aten
CPU = torch.device("cpu")

# On the CPU beside a CUDA tensor these are allowed: what is copied, and indices.
COPIES = {aten._to_copy.default, aten.copy_.default}
INDEXING = {aten.index.Tensor, aten.index_put_.default, aten._index_put_impl_.default}
# The host waits for what these give it.
WAITING = {
    aten._local_scalar_dense.default,
    aten.nonzero.default,
    aten.bincount.default,
    aten.equal.default,
    aten.masked_select.default,
    aten._unique2.default,
}
CELLS = ("lstm", "gru", "rnn_tanh", "rnn_relu")
VALUES = {name: getattr(torch._VF, name) for name in CELLS}
TO, TENSOR_CPU, MAKE, CAT = torch.Tensor.to, torch.Tensor.cpu, torch.tensor, torch.cat
ENTER, EXIT = torch.autocast.__enter__, torch.autocast.__exit__


class CudaTensor(Tensor):
    """A tensor on `cuda:N` with its values in `on_cpu`, a tensor on the CPU.

    To torch's C++ it is one of the CPU, since a build without CUDA has no autograd for others; whatever
    Python reads is `cuda:N`. piece: the memory that cuDNN's weights share, and of how many.
    """

    on_cpu: Tensor
    place: torch.device
    piece: Any = None

    @staticmethod
    def __new__(cls, values: Tensor, place: torch.device) -> CudaTensor:
        made: CudaTensor = Tensor._make_wrapper_subclass(
            cls,
            values.shape,
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            layout=values.layout,
            device=CPU,
            requires_grad=False,
        )
        made.on_cpu, made.place = values.detach(), place
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]
    is_cuda = property(lambda self: True)
    device = property(lambda self: self.place)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # torch's own is declared as disabled
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return active().compute(func, args, kwargs or {})

    def new_tensor(self, data: Any, **more: Any) -> Tensor:  # type: ignore[override]
        options: dict[str, Any] = {"dtype": self.dtype, "device": self.place}
        return torch.tensor(data, **(options | more))

    def numpy(self, **_: Any) -> Any:
        raise TypeError(f"can't convert a tensor on {self.place} to numpy")

    def tolist(self) -> Any:
        active().counts["wait"] += 1
        return self.on_cpu.tolist()

    def data_ptr(self) -> int:
        return self.on_cpu.data_ptr()

    @property
    def data(self) -> Tensor:
        return self.detach()

    @data.setter
    def data(self, value: Any) -> None:
        assert value.shape == self.shape
        self.on_cpu, self.piece = value.on_cpu, value.piece

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if id(self) not in memo:
            copy = CudaTensor(self.on_cpu.clone(), self.place).requires_grad_(self.requires_grad)
            if getattr(self, "_is_param", False):
                copy._is_param = True
            memo[id(self)] = copy
        return memo[id(self)]


class EmulatedCuda(TorchDispatchMode):
    """The devices, what they have counted (wait, upload, fill, launch, float16, tf32), and how each draws."""

    def __init__(self, devices: int) -> None:
        super().__init__()
        self.current = 0
        self.generators = tuple(torch.Generator() for _ in range(devices))
        self.dropout_states: dict[int, tuple[int, torch.Generator]] = {}
        self.counts: Counter[str] = Counter()
        self.free, self.total = 8 << 30, 16 << 30
        self.to_cpu = False

    def forget(self) -> None:
        """Let the generators be those of another process."""
        for generator in self.generators:
            generator.manual_seed(67280421310721)
        self.dropout_states.clear()

    def device_of(self, device: Any) -> torch.device:
        device = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
        if device.type != "cuda":
            return device
        return torch.device("cuda", self.current if device.index is None else device.index)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.compute(func, args, kwargs or {})

    def compute(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        leaves, spec = tree_flatten((args, kwargs))
        ours = [x for x in leaves if isinstance(x, CudaTensor)]
        target = self.device_of(kwargs["device"]) if kwargs.get("device") is not None else CPU
        if not ours and target.type != "cuda":
            return func(*args, **kwargs)
        if func in COPIES:
            return self.copy(func, args, kwargs, target)
        # If torch's C++ asks for "cpu" beside such a tensor it means the tensor's own device.
        device = ours[0].place if ours else target
        self.refuse(func, leaves, device)
        self.count(func)
        plain = [x.on_cpu if isinstance(x, CudaTensor) else x for x in leaves]
        args, kwargs = tree_unflatten(plain, spec)
        if "device" in kwargs:
            kwargs = kwargs | {"device": CPU}
        with self.drawing(func, leaves, device):
            out = func(*args, **kwargs)
        known = {id(x.on_cpu): x for x in ours}

        def wrap(x: Any) -> Any:
            if not isinstance(x, Tensor):
                return x
            return known[id(x)] if id(x) in known else CudaTensor(x, device)

        return tree_map(wrap, out)

    def refuse(self, func: Any, leaves: list[Any], device: torch.device) -> None:
        for x in leaves:
            if isinstance(x, torch.Generator) and x not in self.generators:
                raise RuntimeError(f"{func}: expected a 'cuda' device type for generator")
            if isinstance(x, CudaTensor) and x.place != device:
                raise RuntimeError(f"{func}: tensors on {device} and {x.place}")
            if not isinstance(x, Tensor) or isinstance(x, CudaTensor):
                continue
            if func in INDEXING and not x.is_floating_point():
                self.counts["upload"] += 1
            elif x.dim() or torch.Tag.pointwise not in func.tags:
                raise RuntimeError(
                    f"{func}: expected all tensors on {device}, found one on the CPU"
                )

    def count(self, func: Any) -> None:
        returns = func._schema.returns
        if func in WAITING:
            self.counts["wait"] += 1
        elif "empty" in func._schema.name:
            exact = torch.are_deterministic_algorithms_enabled()
            deterministic: Any = torch.utils.deterministic
            self.counts["fill"] += exact and deterministic.fill_uninitialized_memory
        elif not any(r.alias_info is not None and not r.alias_info.is_write for r in returns):
            self.counts["launch"] += 1
            if "convolution" in func._schema.name and torch.backends.cudnn.allow_tf32:
                self.counts["tf32"] += 1

    def copy(self, func: Any, args: Any, kwargs: dict[str, Any], target: torch.device) -> Any:
        source = args[0] if func is aten._to_copy.default else args[1]
        start = source.place if isinstance(source, CudaTensor) else CPU
        asynchronous = bool(kwargs.get("non_blocking")) or any(x is True for x in args[2:])
        if func is aten._to_copy.default:
            # A change of type alone, to C++ from CPU to CPU, stays on the device.
            end = target if target.type == "cuda" or self.to_cpu else start
            kwargs = {k: v for k, v in kwargs.items() if k not in ("device", "non_blocking")}
        else:
            end = args[0].place if isinstance(args[0], CudaTensor) else CPU
        kinds = {("cpu", "cuda"): "upload", ("cuda", "cpu"): "readback" if asynchronous else "wait"}
        self.counts[kinds.get((start.type, end.type), "launch")] += 1
        plain = [x.on_cpu if isinstance(x, CudaTensor) else x for x in args]
        out = func(*plain, **kwargs)
        if func is aten.copy_.default:
            return args[0]
        return CudaTensor(out, end) if end.type == "cuda" else out

    @contextlib.contextmanager
    def drawing(self, func: Any, leaves: list[Any], device: torch.device) -> Iterator[None]:
        """Random draws without a generator use the device's."""
        seeded = torch.Tag.nondeterministic_seeded in func.tags
        if not seeded or any(isinstance(x, torch.Generator) for x in leaves):
            yield
        else:
            with self.draws_from(self.generators[device.index]):
                yield

    @contextlib.contextmanager
    def draws_from(self, generator: torch.Generator) -> Iterator[None]:
        before = torch.get_rng_state()
        torch.set_rng_state(generator.get_state())
        try:
            yield
        finally:
            generator.set_state(torch.get_rng_state())
            torch.set_rng_state(before)

    def dropout_state(self, index: int) -> torch.Generator:
        """cuDNN's, made anew where the device's generator was seeded since."""
        seed = self.generators[index].initial_seed()
        if self.dropout_states.get(index, (None, None))[0] != seed:
            self.counts["wait"] += 1
            start = int(torch.randint(2**62, (), generator=self.generators[index]))
            self.dropout_states[index] = seed, torch.Generator().manual_seed(start)
        return self.dropout_states[index][1]


class EmulatedEvent:
    """A point in a stream, which is reached at once."""

    def record(self, stream: Any = None) -> None:
        self.recorded = True

    def synchronize(self) -> None:
        assert self.recorded

    def query(self) -> bool:
        return self.recorded


class EmulatedStream:
    """Work of a device in order; everything is done when it is launched."""

    def __init__(self, device: Any = None) -> None:
        self.device = device

    def wait_event(self, event: EmulatedEvent) -> None:
        event.synchronize()

    def synchronize(self) -> None:
        pass


_active: list[EmulatedCuda] = []


def active() -> EmulatedCuda:
    return _active[-1]


class CudnnLayers(torch.autograd.Function):
    """cuDNN's recurrent layers, computed by the CPU's; states: how many tensors of `rest` are states."""

    @staticmethod
    def forward(ctx: Any, name: str, options: Any, states: int, x: Any, *rest: Any) -> Any:
        cuda = active()
        _, layers, dropout, training, *_ = options
        half = torch.is_autocast_enabled("cuda")
        cuda.counts["float16"] += half
        cuda.counts["tf32"] += bool(torch.backends.cudnn.allow_tf32)
        pieces = {id(w.piece[0]) if w.piece else None for w in rest[states:]}
        if None in pieces or len(pieces) > 1 or rest[-1].piece[1] != len(rest) - states:
            warnings.warn(
                "RNN module weights are not part of single contiguous chunk", stacklevel=5
            )
        with _disable_current_modes(), torch.enable_grad():
            inputs = [item.on_cpu for item in (x, *rest)]
            inputs = [
                (item.half().float() if half else item.clone()).requires_grad_() for item in inputs
            ]
            hx = tuple(inputs[1 : 1 + states]) if name == "lstm" else inputs[1]
            with contextlib.ExitStack() as stack:
                if training and dropout and layers > 1:
                    stack.enter_context(cuda.draws_from(cuda.dropout_state(x.place.index)))
                out = VALUES[name](inputs[0], hx, inputs[1 + states :], *options)
        ctx.inputs, ctx.out, ctx.training = inputs, list(out), training
        ctx.set_materialize_grads(False)
        dtype = torch.float16 if half else x.dtype
        return tuple(CudaTensor(item.detach().to(dtype), x.place) for item in out)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        if not ctx.training:
            raise RuntimeError("cudnn RNN backward can only be called in training mode")
        pairs = [(out, g) for out, g in zip(ctx.out, grads, strict=True) if g is not None]
        with _disable_current_modes(), torch.enable_grad():
            outputs, values = (
                [out for out, _ in pairs],
                [g.on_cpu.to(out.dtype) for out, g in pairs],
            )
            gradients = torch.autograd.grad(outputs, ctx.inputs, values, allow_unused=True)
        place = pairs[0][1].place
        return None, None, None, *(None if g is None else CudaTensor(g, place) for g in gradients)


def cell(name: str) -> Callable[..., Any]:
    def call(x: Any, hx: Any, weights: Any, *options: Any) -> Any:
        if not isinstance(x, CudaTensor):
            return VALUES[name](x, hx, weights, *options)
        states = hx if isinstance(hx, tuple | list) else (hx,)
        return CudnnLayers.apply(name, options, len(states), x, *states, *weights)

    return call


def flatten_parameters(self: Any) -> None:
    """Move the weights into one new piece of memory; what was detached from them stays in the old one."""
    weights = [weight for weight in self._flat_weights if weight is not None]
    if weights and all(isinstance(weight, CudaTensor) for weight in weights):
        piece = (object(), len(weights))
        for item in weights:
            item.on_cpu, item.piece = item.on_cpu.clone(), piece


def to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Tensor.to, which C++ would end early: to it all tensors are the CPU's."""
    device, dtype = kwargs.get("device"), kwargs.get("dtype")
    for arg in args:
        if isinstance(arg, Tensor):
            device, dtype = arg.device, arg.dtype
        elif isinstance(arg, torch.dtype):
            dtype = arg
        elif isinstance(arg, str | torch.device):
            device = arg
    cuda = active()
    if device is None or not (isinstance(self, CudaTensor) or torch.device(device).type == "cuda"):
        return TO(self, *args, **kwargs)
    device, dtype = cuda.device_of(device), dtype or self.dtype
    if (device, dtype) == (self.device, self.dtype) and not kwargs.get("copy"):
        return self
    cuda.to_cpu, before = True, cuda.to_cpu
    try:
        return aten._to_copy.default(self, dtype=dtype, device=device)
    finally:
        cuda.to_cpu = before


def cpu(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return to(self, "cpu") if isinstance(self, CudaTensor) else TENSOR_CPU(self, *args, **kwargs)


def tensor(data: Any, *, device: Any = None, **more: Any) -> Tensor:
    made = MAKE(data, **more)
    return made if device is None else made.to(device)


def cat(tensors: Any, *args: Any, **kwargs: Any) -> Tensor:
    """CUDA's autocast leaves it alone, the CPU's does not."""
    low = torch.is_autocast_enabled("cpu") and isinstance(tensors[0], CudaTensor)
    torch.set_autocast_enabled("cpu", False if low else torch.is_autocast_enabled("cpu"))
    try:
        return CAT(tensors, *args, **kwargs)
    finally:
        torch.set_autocast_enabled("cpu", low or torch.is_autocast_enabled("cpu"))


def enter(self: Any) -> Any:
    """Autocast on CUDA is also that of the CPU, whose tensors these are to C++."""
    self.before = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")
    entered = ENTER(self)
    if self.device == "cuda":
        torch.set_autocast_enabled("cpu", self._enabled)
        torch.set_autocast_dtype("cpu", self.fast_dtype)
    return entered


def leave(self: Any, *raised: Any) -> Any:
    if self.device == "cuda":
        torch.set_autocast_enabled("cpu", self.before[0])
        torch.set_autocast_dtype("cpu", self.before[1])
    return EXIT(self, *raised)


@contextlib.contextmanager
def emulated(devices: int = 2) -> Iterator[EmulatedCuda]:
    """torch has so many CUDA devices until the end of the block."""
    cuda = EmulatedCuda(devices)
    cells = {name: cell(name) for name in CELLS}
    replaced: list[tuple[Any, dict[str, Any]]] = [
        (
            torch.cuda,
            {
                "is_available": lambda: True,
                "device_count": lambda: devices,
                "is_initialized": lambda: True,
                "current_device": lambda: cuda.current,
                "default_generators": cuda.generators,
                "set_device": lambda device: setattr(cuda, "current", cuda.device_of(device).index),
                "manual_seed_all": lambda seed: [
                    generator.manual_seed(seed) for generator in cuda.generators
                ],
                "is_bf16_supported": lambda including_emulation=True: True,
                "mem_get_info": lambda device=None: (cuda.free, cuda.total),
                "_lazy_init": lambda: None,
                "get_device_capability": lambda device=None: (8, 0),
                "synchronize": lambda device=None: cuda.counts.update(synchronize=1),
                "Stream": EmulatedStream,
                "Event": EmulatedEvent,
                "stream": contextlib.nullcontext,
                "current_stream": EmulatedStream,
                "get_device_name": lambda device=None: (
                    f"Emulated {cuda.device_of(device or 'cuda').index}"
                ),
            },
        ),
        (torch.Tensor, {"to": to, "cpu": cpu}),
        (torch, {"tensor": tensor, "cat": cat}),
        (torch.autocast, {"__enter__": enter, "__exit__": leave}),
        (torch.cuda.amp.common, {"amp_definitely_not_available": lambda: False}),
        (nn.RNNBase, {"flatten_parameters": flatten_parameters}),
        (torch._VF, cells),
        (torch_rnn, {"_rnn_impls": {"RNN_TANH": cells["rnn_tanh"], "RNN_RELU": cells["rnn_relu"]}}),
    ]
    before = [(place, {name: getattr(place, name) for name in names}) for place, names in replaced]
    overwritten = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    _active.append(cuda)
    try:
        for place, values in replaced:
            for name, value in values.items():
                setattr(place, name, value)
        with cuda:
            yield cuda
    finally:
        _active.pop()
        for place, values in before:
            for name, value in values.items():
                setattr(place, name, value)
        torch.__future__.set_overwrite_module_params_on_conversion(overwritten)
