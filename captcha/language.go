package captcha

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"reflect"
	"strings"

	"golang.org/x/text/language"
)

//go:embed texts/*.json
var textFiles embed.FS

// texts is one language of the catalogue: everything that people read.
type texts struct {
	Tag string `json:"-"`
	Dir string `json:"dir"`

	Title        string `json:"title"`
	Heading      string `json:"heading"`
	Intro        string `json:"intro"`
	IntroAudio   string `json:"intro_audio"`
	Alt          string `json:"alt"`
	Label        string `json:"label"`
	LabelAudio   string `json:"label_audio"`
	Hint         string `json:"hint"`
	Submit       string `json:"submit"`
	Trouble      string `json:"trouble"`
	TroubleAudio string `json:"trouble_audio"`
	New          string `json:"new"`
	NewAudio     string `json:"new_audio"`
	Listen       string `json:"listen"`
	Look         string `json:"look"`
	Player       string `json:"player"`
	Download     string `json:"download"`
	Voice        string `json:"voice"` // shown when the voice speaks another language

	Wrong   string `json:"wrong"`
	Expired string `json:"expired"`
	Later   string `json:"later"`

	Kept string `json:"kept"`
	Lost string `json:"lost"`

	LimitTitle   string `json:"limit_title"`
	LimitText    string `json:"limit_text"`
	Again        string `json:"again"`
	CookiesTitle string `json:"cookies_title"`
	CookiesText  string `json:"cookies_text"`
	ReplayTitle  string `json:"replay_title"`
	ReplayText   string `json:"replay_text"`
	ReplaySubmit string `json:"replay_submit"`
	ResendTitle  string `json:"resend_title"`
	ResendText   string `json:"resend_text"`
	ResendBack   string `json:"resend_back"`
	Incident     string `json:"incident"`
	Contact      string `json:"contact"`
}

// catalogue is every language we have texts for. The first is the fallback.
type catalogue struct {
	all     []*texts
	matcher language.Matcher
	voices  language.Matcher
}

// voiceNames are the languages that the audio library speaks, English first.
var voiceNames = [...]string{"en", "ru", "zh", "ja", "pt"}

// maxLanguages bounds how much of Accept-Language is parsed.
const maxLanguages = 256

func loadCatalogue() (*catalogue, error) {
	names, err := fs.Glob(textFiles, "texts/*.json")
	if err != nil {
		return nil, fmt.Errorf("listing texts: %w", err)
	}
	c := &catalogue{}
	for _, name := range names {
		t, err := loadTexts(name)
		if err != nil {
			return nil, err
		}
		c.all = append(c.all, t)
		if t.Tag == "en" {
			last := len(c.all) - 1
			c.all[0], c.all[last] = c.all[last], c.all[0]
		}
	}
	tags := make([]language.Tag, len(c.all))
	for i, t := range c.all {
		if tags[i], err = language.Parse(t.Tag); err != nil {
			return nil, fmt.Errorf("parsing language of texts/%s.json: %w", t.Tag, err)
		}
	}
	c.matcher = language.NewMatcher(tags)
	voices := make([]language.Tag, len(voiceNames))
	for i, name := range voiceNames {
		voices[i] = language.Make(name)
	}
	c.voices = language.NewMatcher(voices)
	return c, nil
}

func loadTexts(name string) (*texts, error) {
	data, err := textFiles.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	t := &texts{Tag: strings.TrimSuffix(path.Base(name), ".json")}
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	if err := d.Decode(t); err != nil {
		return nil, fmt.Errorf("decoding %s: %w", name, err)
	}
	v := reflect.ValueOf(*t)
	for i := range v.NumField() {
		if v.Field(i).String() == "" {
			return nil, fmt.Errorf("decoding %s: no text for %s", name, v.Type().Field(i).Tag.Get("json"))
		}
	}
	return t, nil
}

func (c *catalogue) match(r *http.Request) *texts {
	return c.all[choose(c.matcher, r)]
}

// voice returns the language in which sounds are spoken for r.
func (c *catalogue) voice(r *http.Request) string {
	return voiceNames[choose(c.voices, r)]
}

// choose returns the index of the best match, 0 if there is none.
func choose(m language.Matcher, r *http.Request) int {
	wanted := r.Header.Get("Accept-Language")
	if len(wanted) > maxLanguages {
		wanted = wanted[:strings.LastIndexByte(wanted[:maxLanguages], ',')+1]
	}
	tags, _, err := language.ParseAcceptLanguage(strings.TrimSuffix(wanted, ","))
	if err != nil || len(tags) == 0 {
		return 0
	}
	_, i, confidence := m.Match(tags...)
	if confidence == language.No {
		return 0
	}
	return i
}
