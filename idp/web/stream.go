package web

import (
	"bufio"
	"io"
	"mime"
	"net/http"
	"time"
)

const (
	streamBuffer = 64 << 10
	streamWrite  = time.Minute // a receiver that takes nothing for so long is cut off
)

// Stream answers with a file that is made while it is sent, of any length. When write fails before anything was sent, its error
// is answered like any other; afterwards the connection is broken, so that nobody takes a part for the whole.
func Stream(w http.ResponseWriter, contentType, filename string, write func(io.Writer) error) error {
	s := &stream{w: w, control: http.NewResponseController(w), header: map[string]string{
		"Content-Type": contentType, "Content-Disposition": mime.FormatMediaType("attachment", map[string]string{"filename": filename}),
	}}
	buffer := bufio.NewWriterSize(s, streamBuffer)
	err := write(buffer)
	if err == nil {
		err = buffer.Flush()
	}
	switch {
	case err == nil:
		s.start()
	case s.started:
		_ = s.control.SetWriteDeadline(time.Unix(1, 0)) // not even the end of the last chunk gets out
	}
	return err
}

// stream sets the headers before the first bytes and gives each write its time.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	header  map[string]string
	started bool
}

func (s *stream) start() {
	if s.started {
		return
	}
	s.started = true
	for name, value := range s.header {
		s.w.Header().Set(name, value)
	}
	NoStore(s.w.Header())
	s.w.WriteHeader(http.StatusOK)
}

func (s *stream) Write(p []byte) (int, error) {
	s.start()
	_ = s.control.SetWriteDeadline(time.Now().Add(streamWrite)) // a test's recorder knows no deadline
	return s.w.Write(p)
}

// TakeTime lifts the bound on how long an answer may take to appear: for work whose length the caller bounds otherwise.
func TakeTime(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // a test's recorder knows no deadline
}
