package appliance

import (
	"fmt"

	"github.com/rampart-edge/rampart/notify"
)

// compileNotifications reads the receivers. One that is wrong is left out, and told of
// in status; a folder that cannot be read is an error.
func (s *Settings) compileNotifications() (err error) {
	if s.config.Notifications == "" {
		return nil
	}
	if s.receivers, err = notify.Read(s.config.Notifications); err != nil {
		return fmt.Errorf("notifications: %w", err)
	}
	return nil
}
