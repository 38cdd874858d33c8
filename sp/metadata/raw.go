package metadata

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxPiece bounds one tag or text of a document that is read as a stream, in bytes: the parser holds one at a time.
const maxPiece = 1 << 20

var errPiece = errors.New("a single text or tag is larger than 1 MiB")

// pieces ends a stream whose parser has read too far without a token.
type pieces struct {
	in   io.Reader
	read int
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.read > maxPiece {
		return 0, errPiece
	}
	n, err := p.in.Read(b)
	p.read += n
	return n, err
}

// stream makes a decoder with that bound, behind a byte order mark.
func stream(in io.Reader) (*xml.Decoder, *pieces) {
	buffered := bufio.NewReaderSize(in, 64<<10)
	if mark, err := buffered.Peek(3); err == nil && bytes.Equal(mark, []byte{0xef, 0xbb, 0xbf}) {
		_, _ = buffered.Discard(3)
	}
	bound := &pieces{in: buffered}
	d := xml.NewDecoder(bound)
	d.CharsetReader = charset(false)
	return d, bound
}

// rawReader reads tokens as they are written, with prefixes, and makes sure that the elements fit together, that every prefix is
// declared, and that nothing is there which a signature would not cover.
type rawReader struct {
	decoder *xml.Decoder
	bound   *pieces
	open    []xml.Name
	scope   bindings // in force inside the newest token
	leave   bool     // the newest token ended an element, whose declarations are in force until the next one
	rooted  bool
}

func newRawReader(in io.Reader) *rawReader {
	d, bound := stream(in)
	return &rawReader{decoder: d, bound: bound}
}

// next returns the next element or text inside the root, or io.EOF behind it.
func (r *rawReader) next() (xml.Token, error) {
	if r.leave {
		r.scope.pop()
		r.leave = false
	}
	for {
		line, column := r.decoder.InputPos()
		r.bound.read = 0
		token, err := r.decoder.RawToken()
		if errors.Is(err, io.EOF) && (len(r.open) > 0 || !r.rooted) {
			return nil, &Error{Line: line, Column: column, Reason: "the document breaks off; fetch it again"}
		}
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		if err != nil {
			return nil, (&gate{decoder: r.decoder}).syntax(err)
		}
		kept, reason := r.take(token)
		if reason != "" {
			return nil, &Error{Line: line, Column: column, Reason: reason}
		}
		if kept {
			return token, nil
		}
	}
}

// early refuses a document whose signature does not end within its first MiB: what comes before its end is held in memory.
func (r *rawReader) early() error {
	if r.decoder.InputOffset() <= maxPiece {
		return nil
	}
	return &Error{Code: CodeAlgorithm, Reason: "the signature does not end within the first MiB of the document, which is larger than any that is in use"}
}

// take weighs one token: is it kept, or why is the document refused?
func (r *rawReader) take(token xml.Token) (kept bool, reason string) {
	switch t := token.(type) {
	case xml.StartElement:
		return true, r.start(t)
	case xml.EndElement:
		if len(r.open) == 0 || r.open[len(r.open)-1] != t.Name {
			return false, fmt.Sprintf("the end of %q fits no element", short(rawName(t.Name)))
		}
		r.open, r.leave = r.open[:len(r.open)-1], true
		return true, ""
	case xml.CharData:
		if len(r.open) == 0 && len(bytes.TrimSpace(t)) > 0 {
			return false, "there is text outside the document"
		}
		return len(r.open) > 0, ""
	case xml.Directive:
		return false, "a DOCTYPE is not allowed in metadata; remove it"
	case xml.ProcInst:
		if t.Target != "xml" || r.rooted {
			return false, fmt.Sprintf("the processing instruction %q is not allowed in metadata; remove it", short(t.Target))
		}
	}
	return false, ""
}

func (r *rawReader) start(t xml.StartElement) string {
	switch {
	case len(r.open) == 0 && r.rooted:
		return "there is a second document after the first"
	case len(r.open) >= maxDepth:
		return "elements are nested more than 32 deep; this is not usual metadata"
	case len(t.Attr) > 2*maxAttributes:
		return "an element has more than 64 attributes; this is not usual metadata"
	}
	r.rooted = true
	r.open = append(r.open, t.Name)
	declared, reason := r.declared(t)
	if reason != "" {
		return reason
	}
	r.scope.push(declared...)
	return r.names(t)
}

// maxInForce bounds the namespace declarations that are in force at once: looking one up costs the more, the more there are.
const maxInForce = 128

// declared are the declarations of an element that are not in force already: some generators repeat them on every element.
func (r *rawReader) declared(t xml.StartElement) (declared []binding, reason string) {
	for _, a := range t.Attr {
		if !isDeclaration(a) {
			continue
		}
		b := binding{uri: a.Value}
		if a.Name.Space != "" {
			b.prefix = a.Name.Local
		}
		if b.prefix == "xml" || b.prefix == "xmlns" || b.uri == nsXML || b.prefix != "" && b.uri == "" {
			return nil, fmt.Sprintf("the namespace declaration of %q is not allowed", short(b.prefix))
		}
		if uri, known := r.scope.lookup(b.prefix); !known || uri != b.uri {
			declared = append(declared, b)
		}
	}
	if len(r.scope.list)+len(declared) > maxInForce {
		return nil, "more than 128 namespace declarations are in force; this is not usual metadata"
	}
	return declared, ""
}

// names refuses prefixes without a declaration, names with two colons and attributes that are there twice.
func (r *rawReader) names(t xml.StartElement) string {
	if reason := r.name(t.Name); reason != "" {
		return reason
	}
	type full struct{ space, local string }
	seen := make(map[full]bool, len(t.Attr))
	for _, a := range t.Attr {
		key := full{a.Name.Space, a.Name.Local}
		if !isDeclaration(a) {
			if reason := r.name(a.Name); reason != "" {
				return reason
			}
			if a.Name.Space != "" {
				key.space, _ = r.scope.lookup(a.Name.Space)
			}
		}
		if seen[key] {
			return fmt.Sprintf("the attribute %q is there twice; remove one", short(a.Name.Local))
		}
		seen[key] = true
	}
	return ""
}

func (r *rawReader) name(n xml.Name) string {
	if strings.Contains(n.Local, ":") {
		return fmt.Sprintf("the name %q is not allowed", short(rawName(n)))
	}
	if _, declared := r.scope.lookup(n.Space); !declared {
		return fmt.Sprintf("the prefix %q is not declared", short(n.Space))
	}
	return ""
}

// resolved is the name of an element with its namespace in the place of its prefix.
func (r *rawReader) resolved(n xml.Name) xml.Name {
	uri, _ := r.scope.lookup(n.Space)
	return xml.Name{Space: uri, Local: n.Local}
}
