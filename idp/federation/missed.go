package federation

import (
	"context"
	"errors"
	"time"

	"gatehouse/sp"
	"gatehouse/store"
)

// Bounds of asking about apps that are not connected: attempts of the last minutes, so many a run, which is a minute.
const (
	missedSince = 5 * time.Minute
	missedBatch = 20
)

// askMissed asks the MDQ servers that may be asked on demand about apps that are not connected and that signed-in people came
// from, so that an administrator finds them known. It makes no app. Strangers cause nothing, and what a server does not have is
// believed for longer than an attempt counts here, so that nobody can make it be asked without end.
func (k *Keeper) askMissed(ctx context.Context) error {
	asks, err := k.missed(ctx)
	if err != nil || len(asks) == 0 {
		return err
	}
	own, err := k.Own(ctx)
	down := map[string]int{} // failures by source
	for _, ask := range asks {
		if err != nil || down[ask.source.Name] == mdqPatience {
			continue
		}
		failure := typed(k.askNow(ctx, &ask.source, own, ask.entityID, document{}))
		if code, _ := worded(failure); code == CodeFetch {
			down[ask.source.Name]++
		}
		err = unnoted(failure)
	}
	return err
}

type missedAsk struct {
	source   Source
	entityID string
}

// missed lists what to ask, and notes it as absent until the answer says otherwise.
func (k *Keeper) missed(ctx context.Context) ([]missedAsk, error) {
	var asks []missedAsk
	err := k.Store.View(ctx, func(tx store.Tx) error {
		asks = nil
		var sources []Source
		err := Sources.Each(tx, store.Page{}, func(_ string, s *Source) error {
			if s.Kind == MDQ && s.OnDemand && !s.Paused {
				sources = append(sources, *s)
			}
			return nil
		})
		if err != nil || len(sources) == 0 {
			return err
		}
		return sp.Attempts.Each(tx, store.Page{Index: "last", Reverse: true}, func(_ string, one *sp.Attempt) error {
			if one.Last.Before(k.Now().Add(-missedSince)) {
				return store.ErrStop
			}
			for _, source := range sources {
				known, err := Documents.Revision(tx, entityKey(source.Name, one.Identifier))
				if err != nil {
					return err
				}
				if known == 0 && len(asks) < missedBatch && one.Protocol == "saml" {
					asks = append(asks, missedAsk{source, one.Identifier})
				}
			}
			return nil
		})
	})
	if err != nil || len(asks) == 0 {
		return nil, err
	}
	return asks, k.Store.Update(ctx, func(tx store.Tx) error {
		for _, ask := range asks { // a server that fails or lies is not asked again at once either
			d := document{Source: ask.source.Name, EntityID: ask.entityID, Absent: true, Trust: ask.source.trust(), Next: k.Now().Add(absentFor)}
			if err := Documents.Put(tx, &d); err != nil {
				return err
			}
		}
		return nil
	})
}

// KnownIn lists the sources that have an entity.
func KnownIn(tx store.Tx, entityID string) ([]string, error) {
	var names []string
	err := Sources.Each(tx, store.Page{}, func(_ string, s *Source) error {
		_, _, err := Entities.Get(tx, entityKey(s.Name, entityID))
		if err == nil {
			names = append(names, s.Name)
		} else if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		return err
	})
	return names, err
}
