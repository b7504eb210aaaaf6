package imageio

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"unicode/utf8"
)

// maxText bounds one text chunk, packed or unpacked, and maxTexts all of a file's, in bytes.
const (
	maxText  = 16 << 20
	maxTexts = 64 << 20
)

// ReadPNGMeta returns the text chunks (tEXt, zTXt, iTXt) of the PNG file at path by keyword, an empty map if there are none; of a
// keyword given several times the first. The picture itself is neither decoded nor checked.
func ReadPNGMeta(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	meta, err := PNGMeta(f)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return meta, nil
}

// PNGMeta is ReadPNGMeta for a stream; it reads to the end of the picture.
func PNGMeta(r io.Reader) (map[string]string, error) {
	b := bufio.NewReaderSize(r, 1<<15)
	var sig [8]byte
	if _, err := io.ReadFull(b, sig[:]); err != nil || string(sig[:]) != "\x89PNG\r\n\x1a\n" {
		return nil, errors.New("not a PNG file")
	}
	meta, total := map[string]string{}, 0
	for n := 0; ; n++ {
		var head [8]byte
		if _, err := io.ReadFull(b, head[:]); err != nil {
			return nil, fmt.Errorf("PNG chunk %d: %w", n, noEOF(err))
		}
		size, kind := binary.BigEndian.Uint32(head[:]), string(head[4:])
		if size > 1<<31-1 {
			return nil, fmt.Errorf("PNG chunk %d, %q: length %d is out of range", n, kind, size)
		}
		if n == 0 && (kind != "IHDR" || size != 13) {
			return nil, fmt.Errorf("PNG file starts with chunk %q of %d bytes instead of IHDR", kind, size)
		}
		text := kind == "tEXt" || kind == "zTXt" || kind == "iTXt"
		if !text {
			if _, err := io.CopyN(io.Discard, b, int64(size)+4); err != nil {
				return nil, fmt.Errorf("PNG chunk %d, %q of %d bytes: %w", n, kind, size, noEOF(err))
			}
			if kind == "IEND" {
				return meta, nil
			}
			continue
		}
		data, err := readChunk(b, kind, size)
		var key, value string
		if err == nil {
			key, value, err = decodeText(kind, data)
		}
		if total += len(key) + len(value); err == nil && total > maxTexts {
			err = fmt.Errorf("more than %d bytes of text in one file", maxTexts)
		}
		if err != nil {
			return nil, fmt.Errorf("PNG chunk %d, %q: %w", n, kind, err)
		}
		if _, ok := meta[key]; !ok {
			meta[key] = value
		}
	}
}

// readChunk returns a chunk's data, which it allocates as it arrives, and checks the CRC.
func readChunk(r io.Reader, kind string, size uint32) ([]byte, error) {
	if size > maxText {
		return nil, fmt.Errorf("%d bytes are more than %d", size, maxText)
	}
	var data bytes.Buffer
	if _, err := io.CopyN(&data, r, int64(size)+4); err != nil {
		return nil, fmt.Errorf("%d bytes: %w", size, noEOF(err))
	}
	b := data.Bytes()
	want := binary.BigEndian.Uint32(b[size:])
	sum := crc32.Update(crc32.ChecksumIEEE([]byte(kind)), crc32.IEEETable, b[:size])
	if sum != want {
		return nil, fmt.Errorf("CRC is %08x, the file says %08x", sum, want)
	}
	return b[:size], nil
}

func decodeText(kind string, b []byte) (key, value string, err error) {
	name, b, ok := bytes.Cut(b, []byte{0})
	if !ok || len(name) < 1 || len(name) > 79 {
		return "", "", errors.New("keyword is not 1 to 79 characters")
	}
	key = latin1(name)
	switch kind {
	case "tEXt":
		return key, latin1(b), nil
	case "zTXt":
		if len(b) < 1 || b[0] != 0 {
			return "", "", errors.New("unknown compression")
		}
		b, err = inflate(b[1:])
		return key, latin1(b), err
	}
	if len(b) < 2 || b[0] > 1 || b[0] == 1 && b[1] != 0 {
		return "", "", errors.New("unknown compression")
	}
	packed := b[0] == 1
	_, b, ok1 := bytes.Cut(b[2:], []byte{0}) // language
	_, b, ok2 := bytes.Cut(b, []byte{0})     // translated keyword
	if !ok1 || !ok2 {
		return "", "", errors.New("language or translated keyword is cut short")
	}
	if packed {
		b, err = inflate(b)
	}
	if err == nil && !utf8.Valid(b) {
		err = errors.New("not UTF-8")
	}
	return key, string(b), err
}

func inflate(b []byte) ([]byte, error) {
	z, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, noEOF(err)
	}
	out, err := io.ReadAll(io.LimitReader(z, maxText+1))
	if err == nil && len(out) > maxText {
		err = fmt.Errorf("unpacks to more than %d bytes", maxText)
	}
	return out, err
}

// latin1 widens bytes to the characters of the same number.
func latin1(b []byte) string {
	r := make([]rune, len(b))
	for i, c := range b {
		r[i] = rune(c)
	}
	return string(r)
}
