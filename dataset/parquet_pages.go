package dataset

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// Limits of a table of pictures. The library allocates what the headers of pages claim, and a run of equal values takes a byte or two for
// any number of them.
const (
	maxPageValues = 1 << 22 // in a page; pages of a megabyte are usual
	maxUnpacking  = 100     // times the packed bytes, on top of a megabyte
	leastRow      = 16      // bytes of a file for each of its rows
)

// checkPages looks at the headers of a column's pages in row group g before the library does.
func checkPages(f *parquet.File, g int, column *parquet.Column) error {
	m := &f.Metadata().RowGroups[g].Columns[column.Index()].MetaData
	start, length := m.DataPageOffset, m.TotalCompressedSize
	if m.DictionaryPageOffset != 0 {
		start = m.DictionaryPageOffset
	}
	if start < 0 || length < 0 || start > f.Size() || length > f.Size()-start {
		return fmt.Errorf("column %s: %d bytes at %d are not inside the file", column.Name(), length, start)
	}
	in := bufio.NewReader(io.NewSectionReader(f, start, length))
	headers := thrift.NewDecoder(new(thrift.CompactProtocol).NewReader(in))
	for {
		if _, err := in.Peek(1); err == io.EOF {
			return nil
		}
		h := new(format.PageHeader)
		if err := headers.Decode(h); err != nil {
			return fmt.Errorf("column %s: header of a page: %w", column.Name(), err)
		}
		packed, unpacked := int64(h.CompressedPageSize), int64(h.UncompressedPageSize)
		values := max(h.DataPageHeader.V.NumValues, h.DataPageHeaderV2.V.NumValues, h.DictionaryPageHeader.V.NumValues)
		switch {
		case packed < 0 || packed > length:
			return fmt.Errorf("column %s: a page of %d bytes in %d", column.Name(), packed, length)
		case unpacked > maxUnpacking*packed+1<<20:
			return fmt.Errorf("column %s: a page of %d bytes claims to unpack to %d: refused as a decompression bomb", column.Name(), packed, unpacked)
		case values > maxPageValues:
			return fmt.Errorf("column %s: a page of %d values, more than %d", column.Name(), values, maxPageValues)
		}
		if _, err := in.Discard(int(packed)); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("column %s: %w", column.Name(), err)
		}
	}
}
