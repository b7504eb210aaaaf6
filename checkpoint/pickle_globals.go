package checkpoint

import (
	"errors"
	"fmt"
	"strings"
)

// lookup returns what the allow-list has under a name. Everything that an EDM or SiD snapshot, a training state, a state dict or numpy's
// arrays may name is here; a name that is not is refused, and nothing is imported for those that are.
func lookup(module, name string) (*global, error) {
	full := module + "." + name
	if d, ok := storageTypes[name]; ok && (module == "torch" || module == "torch.cuda" || module == "torch.storage") {
		return &global{name: full, dtype: d}, nil
	}
	if d, ok := torchTypes[name]; ok && module == "torch" {
		return &global{name: full, dtype: d}, nil
	}
	g := &global{name: full}
	switch strings.Replace(strings.Replace(full, "__builtin__.", "builtins.", 1), "numpy._core.", "numpy.core.", 1) {
	case "collections.OrderedDict", "dnnlib.util.EasyDict", "builtins.dict":
		g.call = newDict
	case "collections.defaultdict":
		g.call = newDefaultDict
	case "builtins.set", "builtins.frozenset", "builtins.list", "builtins.tuple", "torch.Size":
		g.call = newList
	case "builtins.bytes", "builtins.bytearray":
		g.call = newBytes
	case "_codecs.encode":
		g.call = encodeLatin1
	case "torch.device":
		g.call = newDevice
	case "torch._utils._rebuild_tensor":
		g.call = rebuildTensor(4)
	case "torch._utils._rebuild_tensor_v2":
		g.call = rebuildTensor(6)
	case "torch._utils._rebuild_tensor_v3":
		g.call = rebuildTensor(7)
	case "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state":
		g.call = rebuildParameter
	case "torch.storage._load_from_bytes":
		g.call = loadFromBytes
	case "torch_utils.persistence._reconstruct_persistent_obj":
		g.call = reconstructPersistent
	case "numpy.core.multiarray._reconstruct":
		g.call = reconstructArray
	case "numpy.core.numeric._frombuffer":
		g.call = arrayFromBuffer
	case "numpy.core.multiarray.scalar":
		g.call = newScalar
	case "numpy.dtype":
		g.call = newNumpyType
	case "numpy.ndarray", "builtins.object": // only passed on
	case "copyreg._reconstructor", "copy_reg._reconstructor":
		g.call = reconstructObject
	case "torch.nn.modules.container.ModuleDict", "torch.nn.modules.container.ModuleList", "torch.nn.modules.container.Sequential",
		"torch.nn.modules.container.ParameterDict", "torch.nn.modules.container.ParameterList", "argparse.Namespace":
		g.call = newObject(full)
	default:
		if module == "__torch__" || strings.HasPrefix(module, "__torch__.") {
			return nil, fmt.Errorf("refused: it is a TorchScript program (it names %s), of which only plain weights could be read", full)
		}
		return nil, fmt.Errorf("refused: it names %s, which is not among the classes and functions that weights need", full)
	}
	return g, nil
}

// storageTypes are PyTorch's storage classes; an untyped storage counts bytes.
var storageTypes = map[string]DType{
	"DoubleStorage": F64, "FloatStorage": F32, "HalfStorage": F16, "BFloat16Storage": BF16, "LongStorage": I64, "IntStorage": I32,
	"ShortStorage": I16, "CharStorage": I8, "ByteStorage": U8, "BoolStorage": Bool, "ComplexFloatStorage": "C64", "UntypedStorage": U8,
}

// torchTypes are PyTorch's dtypes.
var torchTypes = map[string]DType{
	"float64": F64, "float32": F32, "float16": F16, "bfloat16": BF16, "int64": I64, "int32": I32, "int16": I16, "int8": I8,
	"uint64": U64, "uint32": U32, "uint16": U16, "uint8": U8, "bool": Bool, "complex64": "C64",
	"float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ",
}

var errArguments = errors.New("arguments of the wrong number or kind")

// newDict makes a dictionary, empty or of the pairs in a list.
func newDict(l *loader, args []any) (any, error) {
	d := &Dict{}
	if err := l.charge(96); err != nil || len(args) == 0 {
		return d, err
	}
	pairs, ok := args[0].(*List)
	if !ok || len(args) > 1 {
		return nil, errArguments
	}
	for _, p := range pairs.Items {
		pair, ok := p.(*List)
		if !ok || len(pair.Items) != 2 {
			return nil, errArguments
		}
		if err := l.update(d, pair.Items); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// newDefaultDict drops the factory of values for missing keys: nothing asks for any.
func newDefaultDict(l *loader, args []any) (any, error) { return newDict(l, args[min(1, len(args)):]) }

func newList(l *loader, args []any) (any, error) {
	if len(args) == 0 {
		return l.list(nil)
	}
	items, ok := args[0].(*List)
	if !ok || len(args) > 1 {
		return nil, errArguments
	}
	return l.list(items.Items)
}

// newBytes passes on a byte string, or makes an empty one, as protocol 2 does.
func newBytes(l *loader, args []any) (any, error) {
	switch len(args) {
	case 0:
		return byteString{src: &source{bytes: []byte{}}}, l.charge(256)
	case 1:
		if b, ok := args[0].(byteString); ok {
			return b, nil
		}
	case 2:
		return encodeLatin1(l, args)
	}
	return nil, errArguments
}

// encodeLatin1 turns a text back into the bytes that it stands for in protocols 0 to 2.
func encodeLatin1(l *loader, args []any) (any, error) {
	if len(args) != 2 {
		return nil, errArguments
	}
	if name, _ := args[1].(string); name != "latin1" && name != "latin-1" {
		return nil, fmt.Errorf("refused: a text encoded as %.20q", name)
	}
	var text span
	switch t := args[0].(type) {
	case string:
		text = span{&source{bytes: []byte(t)}, 0, int64(len(t))}
	case textSpan:
		text = span(t)
	default:
		return nil, errArguments
	}
	if l.steps -= text.size; l.steps < 0 { // every byte of a text is encoded once
		return nil, errBudget
	}
	n := int64(0)
	err := text.read(func(b []byte) error {
		for _, c := range b {
			n += int64(1 - c>>7&(c>>6)) // but for the first byte of two
		}
		return nil
	})
	if err == nil {
		err = l.charge(n + 256)
	}
	if err != nil {
		return nil, err
	}
	out, at, lead, bad := make([]byte, n+1), 0, byte(0), byte(0) // one byte more, for what follows the last
	err = text.read(func(b []byte) error {
		for _, c := range b { // almost without branches, since bytes of weights are as good as random
			if at == len(out) {
				return errors.New("the file changed while it was read")
			}
			first := c >> 7 & (c >> 6) // 1 for the first byte of two, which is 0xc2 or 0xc3
			second := c>>7 ^ first
			bad |= second ^ lead>>7 | (c>>1^0x61)&-first
			out[at] = c | lead<<6
			at += int(1 - first)
			lead = c & -first
		}
		return nil
	})
	if err == nil && (bad != 0 || lead != 0) {
		err = errors.New("a text that is not Latin-1 in UTF-8")
	}
	return byteString{&source{bytes: out[:at]}, 0, int64(at)}, err
}

// newDevice returns the name of a device, which nobody asks for.
func newDevice(_ *loader, args []any) (any, error) {
	if len(args) == 0 {
		return nil, errArguments
	}
	return args[0], nil
}

// newObject makes instances of a class, whose attributes follow.
func newObject(class string) func(*loader, []any) (any, error) {
	return func(l *loader, args []any) (any, error) {
		if len(args) > 0 {
			return nil, errArguments
		}
		return &Object{Class: class}, l.charge(64)
	}
}

// reconstructObject is how protocols 0 and 1 make an instance: of the class in args[0].
func reconstructObject(l *loader, args []any) (any, error) {
	if len(args) != 3 {
		return nil, errArguments
	}
	class, ok := args[0].(*global)
	if !ok || class.call == nil {
		return nil, errArguments
	}
	if d, ok := args[2].(*Dict); ok { // what a subclass of dict starts from
		return d, nil
	}
	return class.call(l, nil)
}

// reconstructPersistent makes an object of EDM's torch_utils/persistence.py: class name and attributes, in a dictionary beside the source text
// of the class, which is not looked at.
func reconstructPersistent(l *loader, args []any) (any, error) {
	if len(args) != 1 {
		return nil, errArguments
	}
	meta, ok := args[0].(*Dict)
	if !ok || meta.Get("type") != "class" {
		return nil, errArguments
	}
	o := &Object{}
	if o.Class, ok = meta.Get("class_name").(string); !ok {
		return nil, errors.New("an object without class_name")
	}
	if o.State, ok = meta.Get("state").(*Dict); !ok && meta.Get("state") != nil {
		return nil, fmt.Errorf("state of %s is %s", o.Class, describe(meta.Get("state")))
	}
	return o, l.charge(64)
}
