package admin

import (
	"gatehouse/idp/federation"
	"gatehouse/store"
	"gatehouse/templates"
)

// shownTasks is how many apps the overview names for one kind of thing to do.
const shownTasks = 5

// sumMetadata finds newer metadata that waits, and sources that fail.
func sumMetadata(tx store.Tx, s *Summary) error {
	err := federation.Follows.Each(tx, store.Page{Index: "waiting"}, func(_ string, f *federation.Follow) error {
		app, err := appRef(tx, f.App)
		if s.Newer = append(s.Newer, app); len(s.Newer) == shownTasks && err == nil {
			return store.ErrStop
		}
		return err
	})
	if err != nil {
		return err
	}
	return federation.Sources.Each(tx, store.Page{}, func(_ string, source *federation.Source) error {
		if source.Found.Failures > 0 && !source.Paused {
			s.Failing = append(s.Failing, source.Name)
		}
		return nil
	})
}

func metadataTasks(s *Summary) []templates.Task {
	var list []templates.Task
	about := func(text, href, label string) {
		list = append(list, templates.Task{Kind: "warn", Text: text, Link: templates.Link{Label: label, Href: href}})
	}
	for _, app := range s.Newer {
		about("Newer metadata of "+app.Name+" waits for your answer.", appBase(app.ID)+"/metadata", "See what would change")
	}
	for _, app := range s.Expired[:min(len(s.Expired), shownTasks)] {
		about("The metadata of "+app.Name+" has ended or ends within days; then nobody can sign on.", appBase(app.ID)+"/metadata", "Renew it")
	}
	for _, name := range s.Failing {
		about("The metadata source "+name+" cannot be fetched.", sourceHref(name), "See why")
	}
	return list
}
