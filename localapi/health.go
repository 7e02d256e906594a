package localapi

import "net/http"

const healthPattern = "/health"

// health says that the server answers.
func health(c *call) error {
	h := c.w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("Pragma", "no-cache")
	return c.raw(http.StatusOK, []byte(`{"status":"up"}`))
}
