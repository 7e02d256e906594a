package appliance

// exchangeRoutes are those about what comes from others and goes to them, and about the
// node as a whole.
func exchangeRoutes() map[string]admin {
	return map[string]admin{
		"GET /rampart/capi":                       capiStatus,
		"GET /rampart/capi/signals":               previewSignals,
		"POST /rampart/capi/register":             registerCentral,
		"POST /rampart/capi/enroll":               enrollCentral,
		"POST /rampart/capi/pull":                 pullCentral,
		"POST /rampart/lists/{name}/refresh":      refreshList,
		"GET /rampart/notifications":              listNotifications,
		"POST /rampart/notifications/{name}/test": testNotification,
		"GET /rampart/simulation":                 listSimulation,
		"POST /rampart/simulation":                chooseSimulation,
		"DELETE /rampart/simulation":              resetSimulation,
		"GET /rampart/profiles":                   listProfiles,
		"POST /rampart/profiles/test":             testProfiles,
		"GET /rampart/metrics":                    showMetrics,
		"GET /rampart/support":                    makeSupport,
	}
}
