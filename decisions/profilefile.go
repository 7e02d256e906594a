package decisions

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/expression"
)

const (
	maxProfiles = 1 << 20 // bytes of a file
	localSuffix = ".local"
)

// ReadProfiles compiles the file at path, and before it the documents of
// path.local where that is: an operator's own come first and need no change of the
// other file. Errors are as LoadProfiles tells them, or those of reading. CrowdSec
// compatible: the name of the file and the order.
func ReadProfiles(path string, env *expression.Env) (*Profiles, error) {
	l := &profileLoader{env: env}
	local, err := os.ReadFile(path + localSuffix)
	switch {
	case err == nil:
		l.file(path+localSuffix, local)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("reading profiles: %w", err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading profiles: %w", err)
	}
	l.file(path, data)
	return l.profiles()
}

// LoadProfiles compiles a file of one or more YAML documents, a profile each; path
// is for errors, which name it, the line and the document. One bad profile makes
// the whole file an error, all its faults told at once: half of the profiles could
// decide something else than all of them.
func LoadProfiles(path string, data []byte, env *expression.Env) (*Profiles, error) {
	l := &profileLoader{env: env}
	l.file(path, data)
	return l.profiles()
}

// profileLoader compiles files of profiles in the order in which they apply.
type profileLoader struct {
	env  *expression.Env
	list []*profile
	errs []error
	at   place
}

func (l *profileLoader) fault(errs ...error) {
	for _, err := range errs {
		l.errs = append(l.errs, l.at.fault(err))
	}
}

func (l *profileLoader) profiles() (*Profiles, error) {
	if len(l.errs) == 0 && len(l.list) == 0 {
		l.at.document = 1
		l.fault(errors.New("no profile in it: nothing would ever be decided"))
	}
	if len(l.errs) > 0 {
		return nil, errors.Join(l.errs...)
	}
	return &Profiles{list: l.list}, nil
}

func (l *profileLoader) file(path string, data []byte) {
	l.at = place{path: path, document: 1}
	if len(data) > maxProfiles {
		l.fault(fmt.Errorf("%d bytes, at most %d fit", len(data), maxProfiles))
		return
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	for ; ; l.at.document++ {
		var spec *profileSpec
		err := dec.Decode(&spec)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			faults, inValues := yamlFaults(err)
			l.fault(faults...)
			if !inValues {
				return // what follows a syntax error cannot be trusted
			}
		} else if spec != nil {
			one, faults := spec.compile(l.env)
			l.list = append(l.list, one)
			l.fault(faults...)
		}
	}
}
