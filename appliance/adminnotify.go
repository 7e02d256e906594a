package appliance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/notify"
)

// notifyTimeout bounds a notification that an operator waits for.
const notifyTimeout = time.Minute

// Notifications are those that are told of alerts, and who has them told.
type Notifications struct {
	Dir       string           `json:"dir,omitempty"` // of their YAML; "": none is configured
	Receivers []ReceiverStatus `json:"receivers"`
	// Faults are receivers that were left out, and why; Unknown are names in profiles
	// that no receiver has.
	Faults  []string `json:"faults"`
	Unknown []string `json:"unknown"`
	Untold  int64    `json:"untold"` // alerts that found no place on their way
}

// ReceiverStatus is one of them.
type ReceiverStatus struct {
	notify.Stats
	Profiles []string `json:"profiles"` // that name it
}

func listNotifications(l *live, r *http.Request) (any, error) {
	return l.notifications(), nil
}

func (l *live) notifications() Notifications {
	s := l.state.notifications(l.settings)
	out := Notifications{Dir: l.settings.config.Notifications, Receivers: []ReceiverStatus{}, Faults: s.Faults, Unknown: s.Unknown, Untold: s.Untold}
	profiles := l.settings.profiles.List()
	for _, one := range s.Receivers {
		rs := ReceiverStatus{Stats: one, Profiles: []string{}}
		for _, p := range profiles {
			if slices.Contains(p.Notifications, one.Name) {
				rs.Profiles = append(rs.Profiles, p.Name)
			}
		}
		out.Receivers = append(out.Receivers, rs)
	}
	return out
}

// Notified is a receiver that a test reached.
type Notified struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Took int64  `json:"took_ms"`
}

// testNotification sends a sample through one receiver.
func testNotification(l *live, r *http.Request) (any, error) {
	name := r.PathValue("name")
	s := l.notifications()
	i := slices.IndexFunc(s.Receivers, func(one ReceiverStatus) bool { return one.Name == name })
	if i < 0 {
		return nil, noReceiver(&s, name)
	}
	ctx, cancel := context.WithTimeout(r.Context(), notifyTimeout)
	defer cancel()
	begin := time.Now()
	if err := l.state.exchange.notifier.Test(ctx, name); err != nil {
		return nil, adminError{http.StatusBadGateway, err}
	}
	return Notified{Name: name, Type: s.Receivers[i].Type, Took: time.Since(begin).Milliseconds()}, nil
}

// noReceiver says why there is none of a name.
func noReceiver(s *Notifications, name string) error {
	if s.Dir == "" {
		return adminError{http.StatusConflict, errors.New("no receiver is configured; add `notifications DIR` with a folder of their YAML")}
	}
	var names []string
	for _, one := range s.Receivers {
		names = append(names, one.Name)
	}
	text := fmt.Sprintf("there is no receiver %.80q", name)
	if len(names) > 0 {
		text += "; there are " + strings.Join(names, ", ")
	}
	if n := len(s.Faults); n > 0 {
		text += fmt.Sprintf("; %d could not be read, the first: %s", n, s.Faults[0])
	}
	return notFound("%s", text)
}
