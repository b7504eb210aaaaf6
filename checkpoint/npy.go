package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// npyTypes pairs element types with numpy's codes, without the byte order.
var npyTypes = map[DType]string{
	F64: "f8", F32: "f4", F16: "f2", I64: "i8", I32: "i4", I16: "i2", I8: "i1",
	U64: "u8", U32: "u4", U16: "u2", U8: "u1", Bool: "b1",
}

const (
	npyMagic     = "\x93NUMPY"
	maxNpyHeader = 1 << 16
)

// npyHeader is what an npy file says before its elements.
type npyHeader struct {
	dtype   DType // numpy's own code, such as "<U7", for types without an equivalent
	known   bool  // dtype is one of ours
	big     bool  // elements are big-endian
	fortran bool  // first index fastest
	shape   []int
	length  int64 // of the header in bytes, where the elements start
}

// appendNpyHeader encodes a version 1.0 header, padded to 64 bytes as numpy pads it.
func appendNpyHeader(dst []byte, d DType, shape []int) ([]byte, error) {
	code, ok := npyTypes[d]
	if !ok {
		return nil, fmt.Errorf("numpy has no type for %s", d)
	}
	order := "<"
	if d.Bits() == 8 {
		order = "|"
	}
	var dims strings.Builder
	for i, n := range shape {
		if i > 0 {
			dims.WriteByte(' ')
		}
		fmt.Fprintf(&dims, "%d,", n)
	}
	tuple := dims.String()
	if len(shape) > 1 {
		tuple = strings.TrimSuffix(tuple, ",") // Python: (3,) but (3, 4)
	}
	text := fmt.Sprintf("{'descr': '%s%s', 'fortran_order': False, 'shape': (%s), }", order, code, tuple)
	fixed := len(npyMagic) + 4
	total := (fixed + len(text) + 1 + 63) / 64 * 64
	dst = append(dst, npyMagic+"\x01\x00"...)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(total-fixed))
	dst = append(dst, text...)
	dst = append(dst, bytes.Repeat([]byte{' '}, total-fixed-len(text)-1)...)
	return append(dst, '\n'), nil
}

// readNpyHeader reads a header of version 1, 2 or 3 and leaves r at the elements.
func readNpyHeader(r io.Reader) (h npyHeader, err error) {
	var fixed [12]byte
	if _, err := io.ReadFull(r, fixed[:10]); err != nil {
		return h, fmt.Errorf("npy header: %w", noEOF(err))
	}
	if string(fixed[:6]) != npyMagic {
		return h, errors.New("not an npy array: wrong magic bytes")
	}
	n, at := uint32(binary.LittleEndian.Uint16(fixed[8:])), 10
	switch fixed[6] {
	case 1:
	case 2, 3:
		if _, err := io.ReadFull(r, fixed[10:]); err != nil {
			return h, fmt.Errorf("npy header: %w", noEOF(err))
		}
		n, at = binary.LittleEndian.Uint32(fixed[8:]), 12
	default:
		return h, fmt.Errorf("npy version %d.%d is unknown", fixed[6], fixed[7])
	}
	if n > maxNpyHeader {
		return h, fmt.Errorf("npy header of %d bytes is longer than %d", n, maxNpyHeader)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return h, fmt.Errorf("npy header of %d bytes: %w", n, noEOF(err))
	}
	if err := h.parse(string(text)); err != nil {
		return h, fmt.Errorf("npy header %q: %w", text[:min(len(text), 120)], err)
	}
	h.length = int64(at) + int64(n)
	return h, nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parse reads the Python dictionary of an npy header: three keys in any order, a string, a bool and a tuple of ints.
func (h *npyHeader) parse(s string) error {
	p := pyText{rest: s}
	seen := map[string]bool{}
	p.want("{")
	for p.err == nil && !p.take("}") {
		key := p.quoted()
		p.want(":")
		if seen[key] {
			return fmt.Errorf("%q is given twice", key)
		}
		seen[key] = true
		switch key {
		case "descr":
			h.setType(p.quoted())
		case "fortran_order":
			if h.fortran = p.take("True"); !h.fortran {
				p.want("False")
			}
		case "shape":
			h.shape = p.tuple()
		default:
			p.fail("key %q is unknown", key)
		}
		if !p.take(",") {
			p.want("}")
			break
		}
	}
	p.space()
	if p.err == nil && p.rest != "" {
		p.fail("%q follows the dictionary", p.rest[:min(len(p.rest), 20)])
	}
	if p.err == nil && len(seen) != 3 {
		p.fail("needs descr, fortran_order and shape")
	}
	return p.err
}

func (h *npyHeader) setType(descr string) {
	h.dtype = DType(descr)
	if len(descr) != 3 || !strings.Contains("<>|", descr[:1]) {
		return
	}
	for d, code := range npyTypes {
		if code == descr[1:] && (descr[0] != '|' || d.Bits() == 8) {
			h.dtype, h.known, h.big = d, true, descr[0] == '>' && d.Bits() > 8
		}
	}
}

// pyText reads the few Python literals of an npy header; after the first error it does nothing.
type pyText struct {
	rest string
	err  error
}

func (p *pyText) fail(format string, a ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, a...)
	}
}

func (p *pyText) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

func (p *pyText) take(s string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.rest, s)
	if ok && p.err == nil {
		p.rest = rest
	}
	return ok && p.err == nil
}

func (p *pyText) want(s string) {
	if !p.take(s) {
		p.fail("%q expected at %q", s, p.rest[:min(len(p.rest), 20)])
	}
}

func (p *pyText) quoted() string {
	p.space()
	if p.rest == "" || p.rest[0] != '\'' && p.rest[0] != '"' {
		p.fail("a string expected at %q", p.rest[:min(len(p.rest), 20)])
		return ""
	}
	s, rest, ok := strings.Cut(p.rest[1:], p.rest[:1])
	if !ok || strings.Contains(s, `\`) {
		p.fail("a string without end or with escapes")
		return ""
	}
	p.rest = rest
	return s
}

func (p *pyText) tuple() []int {
	shape := []int{}
	p.want("(")
	for p.err == nil && !p.take(")") {
		p.space()
		n := 0
		for n < len(p.rest) && p.rest[n] >= '0' && p.rest[n] <= '9' {
			n++
		}
		v, err := strconv.Atoi(p.rest[:n])
		if err != nil || len(shape) == maxRank {
			p.fail("a tuple of at most %d integers expected at %q", maxRank, p.rest[:min(len(p.rest), 20)])
			return nil
		}
		shape = append(shape, v)
		p.rest = strings.TrimPrefix(p.rest[n:], "L") // as Python 2 wrote them
		if !p.take(",") {
			p.want(")")
			break
		}
	}
	return shape
}
