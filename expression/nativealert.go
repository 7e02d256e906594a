package expression

import (
	"errors"

	"github.com/expr-lang/expr/ast"

	"github.com/rampart-edge/rampart/event"
)

// What postoverflows and profiles ask of an alert is read from it, without
// reflection.

// errNoAlert is a field of an alert, or of its source, that is not there. The
// machine runs the program again and says which.
var errNoAlert = errors.New("there is no such alert")

// alert is where an expression finds an alert: evt.Overflow.Alert, or Alert where
// programs are about one. It is nil for any other.
func (t translator) alert(path string) func(v *Vars) *event.Alert {
	switch {
	case path == "evt.Overflow.Alert":
		return func(v *Vars) *event.Alert { return v.Evt.Overflow.Alert }
	case path == "Alert" && t.on == OnAlert:
		return func(v *Vars) *event.Alert { return v.Alert }
	}
	return nil
}

// alertText is a text of an alert or of its source.
func (t translator) alertText(path, name string) *text {
	if alert := t.alert(path); alert != nil {
		if read := ofAlert(name); read != nil {
			return read.from(alert)
		}
		return nil
	}
	base, isSource := cutSource(path)
	alert, read := t.alert(base), ofSource(name)
	if !isSource || alert == nil || read == nil {
		return nil
	}
	return alertRead(func(a *event.Alert) (string, bool) {
		if a.Source == nil {
			return "", false
		}
		return read(a.Source), true
	}).from(alert)
}

// cutSource splits "….Source".
func cutSource(path string) (base string, ok bool) {
	const end = ".Source"
	if n := len(path) - len(end); n > 0 && path[n:] == end {
		return path[:n], true
	}
	return "", false
}

// alertRead reads a text; false: the machine would fail.
type alertRead func(a *event.Alert) (string, bool)

func (read alertRead) from(alert func(*Vars) *event.Alert) *text {
	return madeText(func(v *Vars) string {
		if a := alert(v); a != nil {
			if s, ok := read(a); ok {
				return s
			}
		}
		v.run.fail(errNoAlert)
		return ""
	})
}

func always(read func(a *event.Alert) string) alertRead {
	return func(a *event.Alert) (string, bool) { return read(a), true }
}

func ofAlert(name string) alertRead {
	switch name {
	case "Scenario":
		return always((*event.Alert).GetScenario)
	case "Kind":
		return always(func(a *event.Alert) string { return a.Kind })
	case "Message":
		return always(func(a *event.Alert) string { return a.Message })
	}
	return nil
}

func ofSource(name string) func(s *event.Source) string {
	switch name {
	case "IP":
		return func(s *event.Source) string { return s.IP }
	case "Scope":
		return func(s *event.Source) string { return s.Scope }
	case "Value":
		return func(s *event.Source) string { return s.Value }
	case "Range":
		return func(s *event.Source) string { return s.Range }
	case "Cn":
		return func(s *event.Source) string { return s.Cn }
	case "AsNumber":
		return func(s *event.Source) string { return s.AsNumber }
	case "AsName":
		return func(s *event.Source) string { return s.AsName }
	}
	return nil
}

// alertMethod is a method of an alert that gives a text.
func (t translator) alertMethod(m *ast.MemberNode, n *ast.CallNode) *text {
	alert := t.alert(eventPath(m.Node))
	if alert == nil || m.Optional {
		return nil
	}
	if len(n.Arguments) == 1 {
		return t.alertLookup(alert, literal(m.Property), n.Arguments[0])
	}
	switch literal(m.Property) {
	case "GetScenario":
		return always((*event.Alert).GetScenario).from(alert)
	case "GetScope":
		return always((*event.Alert).GetScope).from(alert)
	case "GetValue":
		return always((*event.Alert).GetValue).from(alert)
	}
	return nil
}

// alertLookup is a method of an alert that takes a key.
func (t translator) alertLookup(alert func(*Vars) *event.Alert, name string, argument ast.Node) *text {
	var get func(a *event.Alert, key string) string
	switch name {
	case "GetLabel":
		get = (*event.Alert).GetLabel
	case "GetMeta":
		get = (*event.Alert).GetMeta
	default:
		return nil
	}
	key := t.words(argument)
	if key == nil {
		return nil
	}
	return madeText(func(v *Vars) string {
		k, a := key.read(v), alert(v)
		switch {
		case v.run.fault != nil:
		case a == nil:
			v.run.fail(errNoAlert)
		default:
			return get(a, k)
		}
		return ""
	})
}

// alertPart is another part of an alert.
func (t translator) alertPart(n *ast.MemberNode) value {
	name := literal(n.Property)
	alert := t.alert(eventPath(n.Node))
	if alert == nil || n.Optional {
		return nil
	}
	var read func(a *event.Alert) any
	switch name {
	case "Remediation":
		read = func(a *event.Alert) any { return a.Remediation }
	case "Simulated":
		read = func(a *event.Alert) any { return a.Simulated }
	case "Source":
		read = func(a *event.Alert) any { return a.Source }
	default:
		return nil
	}
	return func(v *Vars) any {
		if a := alert(v); a != nil {
			return read(a)
		}
		v.run.fail(errNoAlert)
		return nil
	}
}
