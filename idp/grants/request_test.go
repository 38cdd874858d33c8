package grants

import (
	"errors"
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)

func TestSpanEnds(t *testing.T) {
	const day = 24 * time.Hour
	for name, test := range map[string]struct {
		span Span
		want time.Time
		err  error
	}{
		"a week":           {Span{For: 7 * day}, noon.Add(7 * day), nil},
		"a moment":         {Span{Until: noon.Add(time.Second)}, noon.Add(time.Second), nil},
		"nothing":          {Span{}, time.Time{}, ErrNoSpan},
		"now":              {Span{Until: noon}, time.Time{}, ErrPast},
		"past":             {Span{Until: noon.Add(-day)}, time.Time{}, ErrPast},
		"a second":         {Span{For: time.Second}, time.Time{}, ErrTooShort},
		"negative":         {Span{For: -day}, time.Time{}, ErrTooShort},
		"a year and a day": {Span{For: MaxSpan}, noon.Add(MaxSpan), nil},
		"longer":           {Span{For: MaxSpan + 1}, time.Time{}, ErrTooLong},
		"later":            {Span{Until: noon.Add(MaxSpan + 1)}, time.Time{}, ErrTooLong},
		"an overflow":      {Span{For: 1<<63 - 1}, time.Time{}, ErrTooLong},
	} {
		got, err := test.span.End(noon)
		if !errors.Is(err, test.err) || err == nil && !got.Equal(test.want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := (Span{For: day, Until: noon.Add(day)}).End(noon); err == nil {
		t.Error("both a duration and a moment are taken")
	}
}

func TestSpanInWords(t *testing.T) {
	for want, span := range map[string]Span{
		"for a time": {}, "for 1 day": {For: 24 * time.Hour}, "for 90 days": {For: 90 * 24 * time.Hour}, "for 36 hours": {For: 36 * time.Hour},
		"for 1 minute": {For: time.Minute}, "for 90 minutes": {For: 90 * time.Minute}, "until 31 January 2027, 23:59 UTC": {Until: EndOfDay(noon)},
	} {
		if got := span.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestRequestIDsSortByTime(t *testing.T) {
	var ids []string
	for _, ms := range []int64{0, 1, 1700000000000, 1800000000000, 1800000000001, 9999999999999} {
		ids = append(ids, NewRequestID(time.UnixMilli(ms)))
	}
	if !slices.IsSorted(ids) || len(ids[0]) != len("req_")+26 {
		t.Errorf("%q", ids)
	}
}

func TestRequestCloses(t *testing.T) {
	asked := Request{Asked: noon, State: Asked}
	last := noon.Add(AskedFor).Add(-time.Nanosecond)
	r := asked
	if err := r.Close(Approved, "usr_1", last); err != nil || r.State != Approved || r.By != "usr_1" || !r.Decided.Equal(last) {
		t.Errorf("in time: %v, %+v", err, r)
	}
	var closed *ClosedError
	for _, again := range []State{Approved, Denied, Withdrawn, Expired} {
		if err := r.Close(again, "usr_2", last); !errors.As(err, &closed) || closed.State != Approved || r.By != "usr_1" {
			t.Errorf("%s after it was approved: %v, %+v", again, err, r)
		}
	}
	r = asked
	if err := r.Close(Approved, "usr_1", r.Due()); !errors.As(err, &closed) || closed.State != Expired || r.State != Asked {
		t.Errorf("too late: %v, %+v", err, r)
	}
	if err := r.Close(Expired, "system", r.Due()); err != nil || r.State != Expired {
		t.Errorf("expiring: %v", err)
	}
	if keeps := Requests.Expires(&r); !keeps.Equal(noon.Add(AskedFor + KeptAfter)) {
		t.Errorf("kept until %v", keeps)
	}
}

func TestSortable(t *testing.T) {
	times := []time.Time{noon.Add(-time.Nanosecond), noon, noon.Add(time.Nanosecond), noon.Add(time.Second), noon.AddDate(100, 0, 0)}
	var texts []string
	for _, at := range times {
		texts = append(texts, Sortable(at.In(time.FixedZone("", 3600))))
	}
	if !slices.IsSorted(texts) {
		t.Errorf("%q", texts)
	}
}
