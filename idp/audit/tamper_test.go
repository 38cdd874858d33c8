package audit_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// reframed is what somebody with the file and this source would write: other text under a right checksum.
func reframed(key, value []byte, old, new string) []byte {
	body := bytes.Replace(value[4:], []byte(old), []byte(new), 1)
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(crc32.Update(0, table, key), table, body)
	return append(binary.BigEndian.AppendUint32(nil, sum), body...)
}
