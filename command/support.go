package command

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/appliance"
)

func supportCommand(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "support", Short: "Collect what people who help need to know"}
	cmd.AddCommand(supportDump(o))
	return cmd
}

// dumpManifest is what is in an archive.
type dumpManifest struct {
	Node    string     `json:"node"`
	Version string     `json:"version"`
	Made    time.Time  `json:"made"`
	File    string     `json:"file"`
	Files   []dumpFile `json:"files"`
	LeftOut []string   `json:"left_out"`
}

// dumpFile is one file in it.
type dumpFile struct {
	Name   string `json:"name"`
	What   string `json:"what"`
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
}

func supportDump(o Options) *cobra.Command {
	var file string
	var alerts bool
	cmd := &cobra.Command{Use: "dump", Short: "Write status, figures and configuration to an archive, without secrets", Args: cobra.NoArgs,
		Long: "Writes a zip archive that only you can read. Keys, passwords, tokens and logins are taken out, and of URLs all but\n" +
			"the host. Nothing that visitors sent is in it, unless you ask for alerts. Look through it before you send it."}
	cmd.Flags().StringVarP(&file, "file", "f", "", "archive to write (default: rampart-support-TIME.zip here)")
	cmd.Flags().BoolVar(&alerts, "with-alerts", false, "add the newest alerts, with addresses and requests of visitors")
	return online(o, cmd, func(c *call, _ []string) error {
		var q url.Values
		if alerts {
			q = url.Values{"alerts": {"true"}}
		}
		var s appliance.Support
		if err := c.do(http.MethodGet, "/rampart/support", q, nil, &s); err != nil {
			return err
		}
		if file == "" {
			file = "rampart-support-" + s.Made.UTC().Format("20060102-150405") + ".zip"
		}
		w, err := newOwnFile(file, false, "name another file with -f")
		if err != nil {
			return err
		}
		defer w.close()
		m, data, err := archive(&s, file)
		if err != nil {
			return err
		}
		if err := w.write(data); err != nil {
			return err
		}
		t := table{head: []string{"file", "bytes", "what"}}
		for _, f := range m.Files {
			t.rows = append(t.rows, []string{f.Name, strconv.Itoa(f.Bytes), f.What})
		}
		if err := c.print(m, t, ""); err != nil || c.format != human {
			return err
		}
		fmt.Fprintf(c.out(), "\nWritten to %s (%d bytes). Left out: %s.\n", printable(file), len(data), printable(strings.Join(s.LeftOut, "; ")))
		return nil
	})
}

// archive is a zip of all files and of a manifest that says what they are.
func archive(s *appliance.Support, file string) (*dumpManifest, []byte, error) {
	m := &dumpManifest{Node: s.Node, Version: s.Version, Made: s.Made, File: file, Files: []dumpFile{}, LeftOut: s.LeftOut}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	put := func(name string, data []byte) error {
		w, err := z.CreateHeader(&zip.FileHeader{Name: "rampart-support/" + name, Method: zip.Deflate, Modified: s.Made})
		if err == nil {
			_, err = w.Write(data)
		}
		return err
	}
	for _, f := range s.Files {
		name := path.Base(f.Name)
		sum := sha256.Sum256([]byte(f.Text))
		m.Files = append(m.Files, dumpFile{Name: name, What: f.What, Bytes: len(f.Text), SHA256: hex.EncodeToString(sum[:])})
		if err := put(name, []byte(f.Text)); err != nil {
			return nil, nil, fmt.Errorf("packing %s: %w", name, err)
		}
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err == nil {
		err = put("manifest.json", append(data, '\n'))
	}
	if err = errors.Join(err, z.Close()); err != nil {
		return nil, nil, fmt.Errorf("packing the manifest: %w", err)
	}
	return m, out.Bytes(), nil
}
