package appliance

import (
	"reflect"

	"github.com/rampart-edge/rampart/cluster"
	"github.com/rampart-edge/rampart/community"
	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/firewall"
	"github.com/rampart-edge/rampart/localapi"
	"github.com/rampart-edge/rampart/logsources"
	"github.com/rampart-edge/rampart/notify"
	"github.com/rampart-edge/rampart/scenarios"
)

// schemaTypes are the types that the schemas of the document describe.
func schemaTypes() map[string]reflect.Type {
	types := map[string]reflect.Type{}
	for name, v := range map[string]any{
		"Status": Status{}, "LastStop": lastStop{}, "ScenarioStatus": ScenarioStatus{}, "ScenarioFailure": ScenarioFailure{},
		"WatchStatus": WatchStatus{}, "BucketStatus": scenarios.Stats{}, "JournalStatus": JournalStatus{}, "EventStatus": EventStatus{},
		"RequestStatus": RequestStatus{}, "SourceStatus": logsources.Status{}, "FirewallStatus": FirewallStatus{},
		"Traffic": firewall.Traffic{}, "Decision": decisions.Decision{}, "DecisionRequest": DecisionRequest{},
		"DecisionAnswer": DecisionAnswer{}, "Deleted": Deleted{}, "Alert": event.Alert{}, "AlertEvent": event.AlertEvent{},
		"MetaItem": event.MetaItem{}, "AlertSource": event.Source{}, "AlertDecision": event.AlertDecision{}, "Why": Why{},
		"StorageStatus": StorageStatus{}, "FleetStatus": FleetStatus{}, "RedisHealth": cluster.Health{}, "FleetNode": cluster.Node{},
		"FleetJournal": cluster.JournalStats{}, "FleetBuckets": cluster.BucketStats{}, "ScriptCost": cluster.ScriptStats{}, "FleetChallenges": cluster.BurnStats{},
		"FleetTables": cluster.TablesStats{}, "APIStatus": APIStatus{}, "CommunityStatus": community.Status{}, "CommunityList": community.ListStatus{},
		"FeedStatus": community.FeedStatus{}, "NotificationStatus": NotificationStatus{}, "Receiver": notify.Stats{}, "AggregateStatus": AggregateStatus{},
		"Refusal": Refusal{}, "Ban": firewall.Ban{}, "AllowEntry": decisions.AllowEntry{}, "AllowRequest": AllowRequest{},
		"List": ListStatus{}, "ListDetail": ListDetail{}, "ListAnswer": ListAnswer{}, "ListReport": decisions.ListReport{},
		"BouncerStatus": BouncerStatus{}, "MachineStatus": MachineStatus{}, "UsageStatus": UsageStatus{}, "StreamStatus": StreamStatus{},
		"BouncerDetail": BouncerDetail{}, "MachineDetail": MachineDetail{}, "BouncerRequest": BouncerRequest{}, "BouncerAnswer": BouncerAnswer{},
		"MachineRequest": MachineRequest{}, "MachineAnswer": MachineAnswer{}, "AllowListStatus": AllowListStatus{}, "AllowListDetail": AllowListDetail{},
		"AllowItem": AllowItem{}, "AllowListRequest": AllowListRequest{}, "AllowItemsRequest": AllowItemsRequest{}, "AllowItemsAnswer": AllowItemsAnswer{},
		"RefusedItem": RefusedItem{}, "Allowed": Allowed{}, "AllowReason": AllowReason{}, "AlertsDeleted": AlertsDeleted{},
		"FlushRequest": FlushRequest{}, "ImportRow": ImportRow{}, "ImportRequest": ImportRequest{}, "ImportAnswer": ImportAnswer{},
		"UsageSum": localapi.Total{}, "AllowSource": AllowSourceStatus{},
		"CentralStatus": CentralStatus{}, "SignalPreview": SignalPreview{}, "Signal": community.Signal{}, "SignalDecision": community.SignalDecision{},
		"Registration": Registration{}, "Enrolment": Enrolment{}, "Enrolled": Enrolled{}, "Pulled": Pulled{}, "PulledList": PulledList{},
		"Refreshed": Refreshed{}, "Notifications": Notifications{}, "ReceiverStatus": ReceiverStatus{}, "Notified": Notified{},
		"SimulationStatus": SimulationStatus{}, "SimulationRule": SimulationRule{}, "SimulationRequest": SimulationRequest{},
		"ProfileSummary": decisions.ProfileSummary{}, "ProfileDecision": decisions.ProfileDecision{}, "ProfileTestRequest": ProfileTestRequest{},
		"ProfileTest": ProfileTest{}, "ProfileVerdict": decisions.ProfileVerdict{}, "FilterVerdict": decisions.FilterVerdict{},
		"Figures": Figures{}, "ParserFigures": ParserFigures{}, "ScenarioFigures": ScenarioFigures{}, "AlertFigures": AlertFigures{},
		"DecisionFigures": DecisionFigures{}, "RouteFigures": RouteFigures{}, "CallerFigures": CallerFigures{}, "LookupFigures": LookupFigures{},
		"UsageFigures": UsageFigures{}, "UsageTotal": UsageTotal{}, "Support": Support{}, "SupportFile": SupportFile{},
	} {
		types[name] = reflect.TypeOf(v)
	}
	return types
}
