package metadata

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"gatehouse/sp"
)

// Codes of documents that are refused for their end.
const (
	CodeNoEnd   = "no_valid_until"
	CodeExpired = "metadata_expired"
	CodeTooLong = "valid_until_too_far"
)

// Document is what a document says about itself and how many entities it holds.
type Document struct {
	Single        bool // the root is one entity
	ValidUntil    time.Time
	CacheDuration time.Duration
	Entities      int      // of any role
	Taken         int      // service providers that were handed on
	Left          int      // service providers that cannot be used
	Reasons       []string // why, for the first ones
}

// CheckEnd refuses a document that has no end, is past it, or ends later than the bound allows; a bound of 0 waives all but the
// end that is past.
func (d *Document) CheckEnd(now time.Time, most time.Duration) error {
	switch {
	case !d.ValidUntil.IsZero() && !d.ValidUntil.Add(skew).After(now):
		return &Error{Code: CodeExpired, Reason: "the metadata expired on " + date(d.ValidUntil) + "; the source must publish it anew"}
	case most == 0:
		return nil
	case d.ValidUntil.IsZero():
		return &Error{Code: CodeNoEnd, Reason: "the metadata has no validUntil, so an old copy could be played back for ever; ask the source for one"}
	case d.ValidUntil.After(now.Add(most + skew)):
		return &Error{Code: CodeTooLong, Reason: fmt.Sprintf("the metadata is valid until %s, which is further than %s from now; ask the source, or set max_validity",
			date(d.ValidUntil), sp.FormatDuration(most))}
	}
	return nil
}

// shownReasons is how many unusable service providers are told about.
const shownReasons = 20

// Entities reads a document of any size as a stream and hands on every SAML 2.0 service provider in it, one after the other, in
// groups or not. One that cannot be used is counted and left out; a document that is broken is an *Error, and then what was
// handed on must not be kept. The end of the root, which changes with each copy and holds for all, is told by the Document only.
// An error of take ends the reading and is returned as it is.
func Entities(in io.Reader, opts Options, take func(Result) error) (Document, error) {
	d, bound := stream(in)
	s := &splitter{decoder: d, bound: bound, opts: opts, take: take}
	for {
		token, err := s.token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return s.document, err
		}
		if err := s.outer(token); err != nil {
			return s.document, err
		}
	}
	if !s.rooted {
		return s.document, &Error{Reason: "there is no XML here; give the address of SAML metadata"}
	}
	return s.document, nil
}

// splitter walks groups and builds a tree of one entity at a time.
type splitter struct {
	decoder  *xml.Decoder
	bound    *pieces
	opts     Options
	take     func(Result) error
	document Document
	ends     []time.Time // of the open groups inside the root: the earliest so far
	rooted   bool
	line     int
	column   int
}

// token reads on; what no metadata may hold ends the reading.
func (s *splitter) token() (xml.Token, error) {
	s.line, s.column = s.decoder.InputPos()
	s.bound.read = 0
	token, err := s.decoder.Token()
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	if err != nil {
		return nil, (&gate{decoder: s.decoder}).syntax(err)
	}
	switch t := token.(type) {
	case xml.Directive:
		return nil, s.fail("a DOCTYPE is not allowed in metadata; remove it")
	case xml.ProcInst:
		if t.Target != "xml" || s.rooted {
			return nil, s.fail("the processing instruction %q is not allowed in metadata; remove it", short(t.Target))
		}
	}
	return token, nil
}

func (s *splitter) fail(format string, args ...any) error {
	return &Error{Line: s.line, Column: s.column, Reason: fmt.Sprintf(format, args...)}
}

// outer weighs a token outside of entities.
func (s *splitter) outer(token xml.Token) error {
	switch t := token.(type) {
	case xml.EndElement:
		s.ends = s.ends[:len(s.ends)-1]
	case xml.StartElement:
		switch {
		case s.rooted && len(s.ends) == 0:
			return s.fail("there is a second document after the first")
		case t.Name == xml.Name{Space: nsMetadata, Local: "EntitiesDescriptor"}:
			return s.group(t)
		case t.Name == xml.Name{Space: nsMetadata, Local: "EntityDescriptor"}:
			return s.entity(t)
		case !s.rooted:
			return s.fail("this is not SAML metadata: it begins with %s instead of EntitiesDescriptor or EntityDescriptor", short(t.Name.Local))
		}
		return s.skip()
	}
	return nil
}

func (s *splitter) skip() error { return s.walk(func(xml.Token) {}) }

// walk reads an element to its end, whose start tag is read already, and shows each token.
func (s *splitter) walk(show func(xml.Token)) error {
	for depth := 1; depth > 0; {
		token, err := s.token()
		if err != nil {
			return s.brokenOff(err)
		}
		switch token.(type) {
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return s.fail("elements are nested more than 32 deep; this is not usual metadata")
			}
		case xml.EndElement:
			depth--
		}
		show(token)
	}
	return nil
}

func (s *splitter) brokenOff(err error) error {
	if errors.Is(err, io.EOF) {
		return s.fail("the document breaks off; fetch it again")
	}
	return err
}

func (s *splitter) group(t xml.StartElement) error {
	if len(s.ends) >= maxDepth {
		return s.fail("groups are nested more than 32 deep; this is not usual metadata")
	}
	n := &node{name: t.Name, attrs: t.Attr, line: s.line, column: s.column}
	end, err := n.instant("validUntil")
	if err != nil {
		return err
	}
	if !s.rooted { // Document tells of the root's end, which changes with each copy, once for all entities
		s.ends = append(s.ends, time.Time{})
		return s.root(n, end)
	}
	if len(s.ends) > 0 {
		end = earlier(end, s.ends[len(s.ends)-1])
	}
	s.ends = append(s.ends, end)
	return nil
}

// root notes what the root says about the document.
func (s *splitter) root(n *node, end time.Time) (err error) {
	if s.rooted {
		return nil
	}
	s.rooted, s.document.ValidUntil = true, end
	s.document.CacheDuration, err = n.duration("cacheDuration")
	return err
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// entity reads one entity to its end and hands it on if it is a service provider.
func (s *splitter) entity(t xml.StartElement) error {
	g := &gate{decoder: s.decoder, declared: true}
	reason := g.take(t, s.line, s.column)
	line, begin := s.line, s.decoder.InputOffset()
	err := s.walk(func(token xml.Token) {
		if reason == "" && s.decoder.InputOffset()-begin > maxBytes {
			reason = "the entity is larger than 1 MiB; this is not usual metadata"
		}
		if reason == "" {
			reason = g.take(token, s.line, s.column)
		}
	})
	if err != nil {
		return err
	}
	s.document.Entities++
	if g.root != nil && !s.rooted {
		s.document.Single = true
		end, err := g.root.instant("validUntil")
		if err == nil {
			err = s.root(g.root, end)
		}
		if err != nil {
			return err
		}
	}
	if reason != "" {
		s.leave(line, reason)
		return nil
	}
	return s.provider(g.root)
}

func (s *splitter) leave(line int, reason string) {
	s.document.Left++
	if len(s.document.Reasons) < shownReasons {
		s.document.Reasons = append(s.document.Reasons, fmt.Sprintf("line %d: %s", line, reason))
	}
}

func (s *splitter) provider(entity *node) error {
	role := spRole(entity)
	if role == nil {
		return nil
	}
	r := &reader{opts: s.opts}
	if len(s.ends) > 0 {
		r.outer = s.ends[len(s.ends)-1]
	}
	if err := r.read(entity, entity, role); err != nil {
		var why *Error
		if !errors.As(err, &why) {
			return err
		}
		s.leave(why.Line, short(entity.attr("entityID"))+": "+why.Reason)
		return nil
	}
	s.document.Taken++
	return s.take(Result{Metadata: r.out, CacheDuration: r.cache})
}

// Review warns of what metadata that was read before holds.
func Review(m sp.Metadata, now time.Time) []Warning {
	r := &reader{opts: Options{Now: now}, out: m}
	r.review()
	return r.warnings
}

// maxCache bounds a cacheDuration that is read; what a caller makes of it is smaller.
const maxCache = 366 * 24 * time.Hour

// duration reads an xs:duration such as PT6H; a month counts as 30 days.
func (n *node) duration(attr string) (time.Duration, error) {
	text := n.attr(attr)
	if text == "" && !n.has(attr) {
		return 0, nil
	}
	d, ok := parseDuration(text)
	if !ok {
		return 0, n.fail("%s=%q is not a duration like PT6H; correct it", attr, short(text))
	}
	return d, nil
}

func parseDuration(text string) (time.Duration, bool) {
	rest, ok := strings.CutPrefix(text, "P")
	if !ok || rest == "" || strings.HasSuffix(rest, "T") {
		return 0, false
	}
	day, clock, _ := strings.Cut(rest, "T")
	const hours = time.Hour
	total, ok := sumUnits(day, "YMD", []time.Duration{365 * 24 * hours, 30 * 24 * hours, 24 * hours})
	if !ok {
		return 0, false
	}
	more, ok := sumUnits(clock, "HMS", []time.Duration{hours, time.Minute, time.Second})
	return min(total+more, maxCache), ok
}

// sumUnits adds up numbers that letters follow, in this order.
func sumUnits(text, letters string, units []time.Duration) (time.Duration, bool) {
	var total time.Duration
	for i, letter := range letters {
		number, rest, found := strings.Cut(text, string(letter))
		if !found {
			continue
		}
		value, err := strconv.ParseFloat(number, 64)
		if err != nil || !(value >= 0 && value <= 1e9) { // NaN too
			return 0, false
		}
		total += time.Duration(min(value*float64(units[i]), float64(maxCache)))
		text = rest
	}
	return total, text == ""
}
