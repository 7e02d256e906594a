package appliance

import (
	"github.com/rampart-edge/rampart/community"
	"github.com/rampart-edge/rampart/decisions"
)

// exchangeTypes are those of the routes about what comes from others and goes to them.
func exchangeTypes() map[string]any {
	return map[string]any{
		"CentralStatus": CentralStatus{}, "SignalPreview": SignalPreview{}, "Signal": community.Signal{}, "SignalDecision": community.SignalDecision{},
		"Registration": Registration{}, "Enrolment": Enrolment{}, "Enrolled": Enrolled{}, "Pulled": Pulled{}, "PulledList": PulledList{},
		"Refreshed": Refreshed{}, "Notifications": Notifications{}, "ReceiverStatus": ReceiverStatus{}, "Notified": Notified{},
		"SimulationStatus": SimulationStatus{}, "SimulationRule": SimulationRule{}, "SimulationRequest": SimulationRequest{},
		"ProfileSummary": decisions.ProfileSummary{}, "ProfileDecision": decisions.ProfileDecision{}, "ProfileTestRequest": ProfileTestRequest{},
		"ProfileTest": ProfileTest{}, "ProfileVerdict": decisions.ProfileVerdict{}, "FilterVerdict": decisions.FilterVerdict{},
		"Figures": Figures{}, "ParserFigures": ParserFigures{}, "ScenarioFigures": ScenarioFigures{}, "AlertFigures": AlertFigures{},
		"DecisionFigures": DecisionFigures{}, "RouteFigures": RouteFigures{}, "CallerFigures": CallerFigures{}, "LookupFigures": LookupFigures{},
		"UsageFigures": UsageFigures{}, "UsageTotal": UsageTotal{}, "Support": Support{}, "SupportFile": SupportFile{},
	}
}
