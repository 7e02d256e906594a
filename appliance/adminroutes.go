package appliance

import (
	"maps"
	"net/http"
)

// admin is one call of the API: request in, value out.
type admin func(l *live, r *http.Request) (any, error)

// route is a call and the parameters that its address may have.
type route struct {
	serve  admin
	params []string
}

// selecting are the parameters that select decisions, and more.
func selecting(more ...string) []string {
	return append([]string{"id", "value", "ip", "range", "contained", "scope", "type", "origin", "scenario"}, more...)
}

// selectingAlerts are those that select alerts, and more.
func selectingAlerts(more ...string) []string {
	return append([]string{"value", "scenario", "ip", "range", "contained", "scope", "type", "origin", "kind", "machine", "since", "until",
		"decided", "lists"}, more...)
}

// routes are those of the API, by method and path.
func routes() map[string]route {
	all := map[string]route{
		"GET /rampart/status":           {adminStatus, nil},
		"GET /rampart/metrics":          {showMetrics, nil},
		"GET /rampart/support":          {makeSupport, []string{"alerts"}},
		"GET /rampart/why/{subject...}": {adminWhy, nil},

		"GET /rampart/decisions":         {listDecisions, selecting("all", "since", "until", "simulated", "limit")},
		"POST /rampart/decisions":        {addDecision, nil},
		"DELETE /rampart/decisions":      {deleteDecisions, selecting("all")},
		"GET /rampart/decisions/export":  {exportDecisions, selecting("since", "until", "simulated", "limit")},
		"POST /rampart/decisions/import": {importDecisions, nil},
		"POST /rampart/unban":            {unban, nil},

		"GET /rampart/alerts":         {listAlerts, selectingAlerts("limit")},
		"DELETE /rampart/alerts":      {deleteAlerts, selectingAlerts("all")},
		"GET /rampart/alerts/{id}":    {showAlert, nil},
		"DELETE /rampart/alerts/{id}": {deleteAlert, nil},
		"POST /rampart/alerts/flush":  {flushAlerts, nil},

		"GET /rampart/allowlist":                  {listAllowed, nil},
		"POST /rampart/allowlist":                 {addAllowed, nil},
		"DELETE /rampart/allowlist":               {deleteAllowed, []string{"value", "list"}},
		"GET /rampart/allowlists":                 {listAllowlists, nil},
		"POST /rampart/allowlists":                {createAllowlist, nil},
		"GET /rampart/allowlists/{name}":          {showAllowlist, nil},
		"DELETE /rampart/allowlists/{name}":       {deleteAllowlist, nil},
		"POST /rampart/allowlists/{name}/items":   {addAllowItems, nil},
		"DELETE /rampart/allowlists/{name}/items": {removeAllowItems, []string{"value"}},
		"GET /rampart/allowed/{value...}":         {checkAllowed, nil},

		"GET /rampart/lists":                 {listLists, nil},
		"GET /rampart/lists/{name}":          {showList, []string{"limit"}},
		"PUT /rampart/lists/{name}":          {putList, []string{"type", "duration", "scenario"}},
		"DELETE /rampart/lists/{name}":       {dropList, nil},
		"POST /rampart/lists/{name}/refresh": {refreshList, nil},
	}
	maps.Copy(all, otherRoutes())
	return all
}

// otherRoutes are those about who calls the Local API, what comes from others and goes
// to them, and what alerts lead to.
func otherRoutes() map[string]route {
	return map[string]route{
		"GET /rampart/bouncers":                  {listBouncers, []string{"unused"}},
		"POST /rampart/bouncers":                 {addBouncer, nil},
		"DELETE /rampart/bouncers":               {pruneBouncers, []string{"unused"}},
		"GET /rampart/bouncers/{name}":           {showBouncer, nil},
		"DELETE /rampart/bouncers/{name}":        {deleteBouncer, nil},
		"GET /rampart/machines":                  {listMachines, []string{"unused", "unvalidated"}},
		"POST /rampart/machines":                 {addMachine, nil},
		"DELETE /rampart/machines":               {pruneMachines, []string{"unused", "unvalidated"}},
		"GET /rampart/machines/{name}":           {showMachine, nil},
		"DELETE /rampart/machines/{name}":        {deleteMachine, nil},
		"POST /rampart/machines/{name}/validate": {validateMachine, nil},

		"GET /rampart/capi":                       {capiStatus, nil},
		"GET /rampart/capi/signals":               {previewSignals, []string{"limit"}},
		"POST /rampart/capi/register":             {registerCentral, nil},
		"POST /rampart/capi/enroll":               {enrollCentral, nil},
		"POST /rampart/capi/pull":                 {pullCentral, nil},
		"GET /rampart/notifications":              {listNotifications, nil},
		"POST /rampart/notifications/{name}/test": {testNotification, nil},
		"GET /rampart/simulation":                 {listSimulation, nil},
		"POST /rampart/simulation":                {chooseSimulation, nil},
		"DELETE /rampart/simulation":              {resetSimulation, []string{"selector"}},
		"GET /rampart/profiles":                   {listProfiles, nil},
		"POST /rampart/profiles/test":             {testProfiles, nil},
	}
}
