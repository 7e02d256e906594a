package caddymodule

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/rampart-edge/rampart/appliance"
	"github.com/rampart-edge/rampart/spelling"
)

// option is one line of a block.
type option struct {
	name  string
	parse func(d *caddyfile.Dispenser) error
}

// parseBlock reads the block that may follow, and refuses what is not among the
// options with the list of those that are.
func parseBlock(d *caddyfile.Dispenser, what string, options []option) error {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		i := slices.IndexFunc(options, func(o option) bool { return o.name == d.Val() })
		if i < 0 {
			var known []string
			for _, o := range options {
				known = append(known, o.name)
			}
			return d.Errf("unknown option %q in %s%s; known options are %s", d.Val(), what, meant(d.Val(), known), strings.Join(known, ", "))
		}
		if err := options[i].parse(d); err != nil {
			return err
		}
	}
	return nil
}

// meant is what a word may have been meant to be.
func meant(word string, known []string) string {
	if near := spelling.Near(word, slices.Values(known)); len(near) > 0 {
		return " (did you mean " + strings.Join(near, " or ") + "?)"
	}
	return ""
}

func text(to *string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		if name := d.Val(); !d.AllArgs(to) {
			return d.Errf("%s takes exactly one value", name)
		}
		return nil
	}
}

func path(to *string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		err := text(to)(d)
		*to = absolute(d, *to)
		return err
	}
}

func list(to *[]string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name, args := d.Val(), d.RemainingArgs()
		if len(args) == 0 {
			return d.Errf("%s needs at least one value", name)
		}
		*to = append(*to, args...)
		return nil
	}
}

func paths(to *[]string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		var args []string
		err := list(&args)(d)
		for _, p := range args {
			*to = append(*to, absolute(d, p))
		}
		return err
	}
}

// items reads names of items, and files by a path that shows that it is one.
func items(to *[]string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		var args []string
		err := list(&args)(d)
		for _, arg := range args {
			if strings.HasSuffix(arg, ".yaml") || strings.HasSuffix(arg, ".yml") {
				arg = absolute(d, arg)
			}
			*to = append(*to, arg)
		}
		return err
	}
}

// absolute resolves a path against the directory of the file that has it, and
// that against the working directory, which is another one in the server. What
// begins with a placeholder is left alone.
func absolute(d *caddyfile.Dispenser, p string) string {
	if p == "" || filepath.IsAbs(p) || strings.HasPrefix(p, "{") {
		return p
	}
	full, err := filepath.Abs(filepath.Join(filepath.Dir(d.File()), p))
	if err != nil { // no working directory
		return p
	}
	return full
}

func pairs(to *map[string]string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		var args []string
		if err := list(&args)(d); err != nil {
			return err
		}
		if *to == nil {
			*to = make(map[string]string, len(args))
		}
		for _, arg := range args {
			k, v, ok := strings.Cut(arg, "=")
			if !ok || k == "" {
				return d.Errf("%q is not of the form name=value", arg)
			}
			(*to)[k] = v
		}
		return nil
	}
}

func present(to *bool) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		if name := d.Val(); d.NextArg() {
			return d.Errf("%s takes no value", name)
		}
		*to = true
		return nil
	}
}

func choice(to *string, values ...string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		if err := text(to)(d); err != nil {
			return err
		}
		if !slices.Contains(values, *to) {
			return d.Errf("%s %q is unknown; use %s", name, *to, strings.Join(values, ", "))
		}
		return nil
	}
}

func onOff(to **bool) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		var word string
		if err := choice(&word, "on", "off")(d); err != nil {
			return err
		}
		on := word == "on"
		*to = &on
		return nil
	}
}

func number(to *int) func(*caddyfile.Dispenser) error {
	return whole(to, 1, "a whole number above zero")
}

func index(to *int) func(*caddyfile.Dispenser) error {
	return whole(to, 0, "a whole number from zero on")
}

func whole(to *int, least int, what string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		var word string
		name := d.Val()
		if err := text(&word)(d); err != nil {
			return err
		}
		n, err := strconv.Atoi(word)
		if err != nil || n < least {
			return d.Errf("%s %q is not %s", name, word, what)
		}
		*to = n
		return nil
	}
}

func duration(to *appliance.Duration) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		var word string
		if err := text(&word)(d); err != nil {
			return err
		}
		v, err := appliance.ParseDuration(word)
		*to = appliance.Duration(v)
		if err != nil {
			return d.WrapErr(err)
		}
		return nil
	}
}

// size reads a number of bytes, with or without one of the units KiB, MiB, GiB.
func size(to *int64) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		var word string
		name := d.Val()
		if err := text(&word)(d); err != nil {
			return err
		}
		digits, unit := word, int64(1)
		for i, suffix := range []string{"KiB", "MiB", "GiB"} {
			if rest, ok := strings.CutSuffix(word, suffix); ok {
				digits, unit = rest, 1<<(10*(i+1))
			}
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < 1 || n > 1<<50/unit {
			return d.Errf("%s %q is not a size; write bytes, or 64KiB, 64MiB, 1GiB", name, word)
		}
		*to = n * unit
		return nil
	}
}
