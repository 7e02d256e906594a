package notify

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// slackSpec is an incoming webhook of Slack, or of a chat that takes the same.
type slackSpec struct {
	Webhook   string `yaml:"webhook"`
	Channel   string `yaml:"channel"`
	Username  string `yaml:"username"`
	IconEmoji string `yaml:"icon_emoji"`
	IconURL   string `yaml:"icon_url"`
}

// slackMessage is the JSON that the webhook takes.
type slackMessage struct {
	Text      string `json:"text"`
	Channel   string `json:"channel,omitempty"`
	Username  string `json:"username,omitempty"`
	IconEmoji string `json:"icon_emoji,omitempty"`
	IconURL   string `json:"icon_url,omitempty"`
}

func (s *slackSpec) patience() time.Duration { return 0 }

// plain escapes what Slack would take for its markup.
func (s *slackSpec) plain(d *Digest) (string, bool) {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(d.String()), true
}

func (s *slackSpec) dial() (sender, error) {
	if s.Webhook == "" {
		return nil, fmt.Errorf("webhook: expected the address of one")
	}
	return newPoster(&httpSpec{URL: s.Webhook, Method: http.MethodPost}, func(text string) ([]byte, http.Header, error) {
		body, err := json.Marshal(slackMessage{text, s.Channel, s.Username, s.IconEmoji, s.IconURL})
		return body, jsonHeader(), err
	})
}

func jsonHeader() http.Header { return http.Header{"Content-Type": {"application/json"}} }
