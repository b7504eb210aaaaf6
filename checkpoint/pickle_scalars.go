package checkpoint

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// integer reads a number of size bytes; only the one of 4 has a sign.
func (m *machine) integer(size int) error {
	n, err := m.uint(size)
	if err != nil {
		return err
	}
	if size == 4 {
		return m.push(int64(int32(n)))
	}
	return m.push(int64(n))
}

// maxLong bounds whole numbers, in bytes.
const maxLong = 1024

// long reads a whole number in two's complement, after its length of size bytes.
func (m *machine) long(size int) error {
	n, err := m.uint(size)
	if err != nil {
		return err
	}
	if n > maxLong {
		return fmt.Errorf("refused: a whole number of %d bytes", n)
	}
	b, err := m.next(int(n))
	if err != nil {
		return err
	}
	negative := n > 0 && b[n-1] >= 0x80
	b = slices.Clone(b)
	slices.Reverse(b)
	v := new(big.Int).SetBytes(b)
	if negative {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*n)))
	}
	return m.whole(v)
}

func (m *machine) whole(v *big.Int) error {
	if v.IsInt64() {
		return m.push(v.Int64())
	}
	if err := m.charge(32 + maxLong); err != nil {
		return err
	}
	return m.push(v)
}

// text reads a UTF-8 string after its length of size bytes.
func (m *machine) text(size int) error {
	n, err := m.uint(size)
	if err != nil {
		return err
	}
	s, err := m.span(n)
	if err != nil {
		return err
	}
	if s.size > longText {
		if err := m.charge(64); err != nil {
			return err
		}
		return m.push(textSpan(s))
	}
	return m.shortText(s)
}

func (m *machine) shortText(s span) error {
	if err := m.charge(32 + s.size); err != nil {
		return err
	}
	b, err := s.all(longText)
	if err != nil {
		return err
	}
	if !utf8.Valid(b) {
		return errors.New("a text that is not UTF-8")
	}
	return m.push(string(b))
}

// bytes reads a byte string after its length of size bytes. Python 2 wrote texts so: what is short and ASCII becomes one.
func (m *machine) bytes(size int, python2 bool) error {
	n, err := m.uint(size)
	if err != nil {
		return err
	}
	s, err := m.span(n)
	if err != nil {
		return err
	}
	if err := m.charge(64); err != nil {
		return err
	}
	if python2 && s.size <= longText {
		b, err := s.all(longText)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(b, func(c byte) bool { return c >= 0x80 }) {
			return m.shortText(s)
		}
	}
	return m.push(byteString(s))
}

// textual executes the instructions of protocol 0 that carry their value as a line of text.
func (m *machine) textual(op byte) error {
	b, err := m.line(m.budget)
	if err != nil {
		return err
	}
	if err := m.charge(64 + 2*int64(len(b))); err != nil {
		return err
	}
	s := string(b)
	switch op {
	case 'I', 'L':
		if op == 'I' && (s == "01" || s == "00") {
			return m.push(s == "01")
		}
		v, ok := new(big.Int).SetString(strings.TrimSuffix(s, "L"), 10)
		if len(s) > maxLong || !ok {
			return fmt.Errorf("%.20q is no whole number", s)
		}
		return m.whole(v)
	case 'F':
		v, err := strconv.ParseFloat(s, 64)
		if err != nil && !math.IsInf(v, 0) {
			return fmt.Errorf("%.20q is no number", s)
		}
		return m.push(v)
	case 'V':
		v, err := rawUnicode(b)
		if err != nil {
			return err
		}
		return m.push(v)
	case 'S':
		if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '\'' && s[0] != '"' || strings.Contains(s, `\`) {
			return errors.New("a string without quotes or with escapes")
		}
		return m.push(s[1 : len(s)-1])
	}
	return errors.New("it refers to objects outside the pickle")
}

// rawUnicode decodes Python's raw-unicode-escape: Latin-1 with \uXXXX and \UXXXXXXXX for the rest.
func rawUnicode(b []byte) (string, error) {
	var out strings.Builder
	for i := 0; i < len(b); i++ {
		digits := 0
		if b[i] == '\\' && i+1 < len(b) {
			digits = map[byte]int{'u': 4, 'U': 8}[b[i+1]]
		}
		if digits == 0 {
			out.WriteRune(rune(b[i]))
			continue
		}
		if len(b) < i+2+digits {
			return "", errors.New("a text with half an escape")
		}
		n, err := strconv.ParseUint(string(b[i+2:i+2+digits]), 16, 32)
		if err != nil || !utf8.ValidRune(rune(n)) {
			return "", errors.New("a text with an escape that is no character")
		}
		out.WriteRune(rune(n))
		i += 1 + digits
	}
	return out.String(), nil
}
