package directory

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Breached is a list of passwords that were stolen somewhere. It is a file in one of two forms: sorted SHA-1 hashes in
// hexadecimal, one a line, with or without ":COUNT" behind each, which is looked up on the disk however large it is; or
// passwords in clear, one a line, of at most maxPlainList bytes, which are kept in memory. Safe for concurrent use.
type Breached struct {
	file  io.ReaderAt // of hashes; nil: plain
	size  int64
	plain map[[sha1.Size]byte]struct{}
}

const (
	maxPlainList = 64 << 20
	hashDigits   = 2 * sha1.Size
	maxHashLine  = 128 // bytes of a line, its end included
	probes       = 64  // places at which the order is looked at
)

// OpenBreached opens a list. The file stays open, and must not be changed in place: replace it and start again.
func OpenBreached(name string) (*Breached, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	list := &Breached{file: file, size: info.Size()}
	first, _, err := list.line(0)
	switch {
	case err != nil:
		return nil, errors.Join(fmt.Errorf("%s cannot be read: %w", name, err), file.Close())
	case first != "":
		if err := list.sorted(); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", name, err), file.Close())
		}
		return list, nil
	case info.Size() > maxPlainList:
		return nil, errors.Join(fmt.Errorf("%s holds more than %d MiB of passwords in clear: give it as sorted SHA-1 hashes, one a line", name, maxPlainList>>20), file.Close())
	}
	defer file.Close()
	return readPlain(file)
}

func readPlain(file io.Reader) (*Breached, error) {
	list := &Breached{plain: map[[sha1.Size]byte]struct{}{}}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if password := strings.TrimSuffix(lines.Text(), "\r"); password != "" {
			list.plain[sha1.Sum([]byte(norm.NFC.String(password)))] = struct{}{}
		}
	}
	return list, lines.Err()
}

// Holds tells whether a password is on the list.
func (b *Breached) Holds(password string) (bool, error) {
	sum := sha1.Sum([]byte(norm.NFC.String(password)))
	if b.file == nil {
		_, held := b.plain[sum]
		return held, nil
	}
	wanted := strings.ToUpper(hex.EncodeToString(sum[:]))
	low, high := int64(0), b.size // the line, if it is there, begins in [low, high)
	for low < high {
		middle := low + (high-low)/2
		digits, next, err := b.line(middle)
		switch {
		case err != nil:
			return false, fmt.Errorf("the list of breached passwords: %w", err)
		case digits == wanted:
			return true, nil
		case digits == "" || digits > wanted:
			high = middle
		default:
			low = next
		}
	}
	return false, nil
}

// sorted looks at the order in some places: a list that is not in order would find nothing.
func (b *Breached) sorted() error {
	last := ""
	for i := range int64(probes) {
		digits, _, err := b.line(b.size / probes * i)
		if err != nil {
			return err
		}
		if digits != "" && digits < last {
			return errors.New("the hashes are not in order: sort the file")
		}
		last = max(last, digits)
	}
	return nil
}

// line reads the first line that begins at or behind an offset: the hash in capitals, and where the next line begins. At the end
// of the file, and where the line holds no hash, it is empty.
func (b *Breached) line(offset int64) (digits string, next int64, err error) {
	from := max(offset-1, 0) // the end of the line before tells that one begins
	buffer := make([]byte, 2*maxHashLine)
	n, err := b.file.ReadAt(buffer, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", b.size, err
	}
	text := buffer[:n]
	if offset > 0 {
		end := bytes.IndexByte(text, '\n')
		if end < 0 {
			return "", b.size, nil
		}
		text, from = text[end+1:], from+int64(end)+1
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if len(line) < hashDigits || !isHex(line[:hashDigits]) || len(line) > hashDigits && !bytes.ContainsAny(line[hashDigits:hashDigits+1], ":\r") {
		return "", b.size, nil
	}
	return strings.ToUpper(string(line[:hashDigits])), from + int64(len(line)) + 1, nil
}

func isHex(digits []byte) bool {
	_, err := hex.Decode(make([]byte, len(digits)/2), digits)
	return err == nil
}
