package command

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// errNotDone is the end of a command whose question was answered with no.
var errNotDone = errors.New("nothing was changed")

// asks reports whether there is somebody to ask: both ends are a terminal.
func (c *call) asks() bool {
	in, ok := c.cmd.InOrStdin().(*os.File)
	return ok && terminal(in) && terminal(c.cmd.ErrOrStderr())
}

// confirm asks, and takes nothing but y and yes for a yes.
func (c *call) confirm(question string) bool {
	fmt.Fprintf(c.cmd.ErrOrStderr(), "%s [y/N] ", question)
	line, err := bufio.NewReader(io.LimitReader(c.cmd.InOrStdin(), 64)).ReadString('\n')
	if err != nil && line == "" {
		return false
	}
	line = strings.ToLower(strings.TrimSpace(line))
	return line == "y" || line == "yes"
}
