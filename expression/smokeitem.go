package expression

// SmokeItem is what CrowdSec knows of an address, in the names that expressions use.
// A SmokeItem that is empty is an address without a record.
type SmokeItem struct {
	Ip                   string             `json:"ip"`
	IpRange              *string            `json:"ip_range"`
	IpRangeScore         int                `json:"ip_range_score"`
	AsName               *string            `json:"as_name"`
	AsNum                *int               `json:"as_num"`
	ReverseDNS           *string            `json:"reverse_dns"`
	Location             SmokeLocation      `json:"location"`
	Behaviors            []SmokeLabel       `json:"behaviors"`
	History              SmokeHistory       `json:"history"`
	Classifications      SmokeClasses       `json:"classifications"`
	AttackDetails        []SmokeAttack      `json:"attack_details"`
	TargetCountries      map[string]float64 `json:"target_countries"` // code → share in percent
	BackgroundNoiseScore *int               `json:"background_noise_score"`
	Scores               SmokeScores        `json:"scores"`
	References           []SmokeLabel       `json:"references"`
	IsOk                 bool               `json:"-"` // there is a record
}

// The parts of a SmokeItem.
type (
	// SmokeLocation is where the address is.
	SmokeLocation struct {
		Country   *string  `json:"country"`
		City      *string  `json:"city"`
		Latitude  *float64 `json:"latitude"`
		Longitude *float64 `json:"longitude"`
	}
	// SmokeLabel is a name with what it means.
	SmokeLabel struct {
		Name        string `json:"name"`
		Label       string `json:"label"`
		Description string `json:"description"`
	}
	// SmokeAttack is a kind of attack that was seen.
	SmokeAttack struct {
		Name        string   `json:"name"`
		Label       string   `json:"label"`
		Description string   `json:"description"`
		References  []string `json:"references"`
	}
	// SmokeHistory says since when it is known. The instants are text.
	SmokeHistory struct {
		FirstSeen *string `json:"first_seen"`
		LastSeen  *string `json:"last_seen"`
		FullAge   int     `json:"full_age"` // days
		DaysAge   int     `json:"days_age"`
	}
	// SmokeClasses are what it was found to be.
	SmokeClasses struct {
		FalsePositives  []SmokeLabel `json:"false_positives"`
		Classifications []SmokeLabel `json:"classifications"`
	}
	// SmokeScores are how bad it is, by time.
	SmokeScores struct {
		Overall   SmokeScore `json:"overall"`
		LastDay   SmokeScore `json:"last_day"`
		LastWeek  SmokeScore `json:"last_week"`
		LastMonth SmokeScore `json:"last_month"`
	}
	// SmokeScore counts from 0 to 5; the higher, the worse.
	SmokeScore struct {
		Aggressiveness int `json:"aggressiveness"`
		Threat         int `json:"threat"`
		Trust          int `json:"trust"`
		Anomaly        int `json:"anomaly"`
		Total          int `json:"total"`
	}
)

// GetAttackDetails returns the names of the attacks.
func (s *SmokeItem) GetAttackDetails() []string {
	out := make([]string, 0, len(s.AttackDetails))
	for _, a := range s.AttackDetails {
		out = append(out, a.Name)
	}
	return out
}

// GetBehaviors returns the names of the behaviours.
func (s *SmokeItem) GetBehaviors() []string { return labelNames(s.Behaviors) }

// GetMaliciousnessScore returns 1 for an address of the community blocklist, else a
// tenth of the total of the last day.
func (s *SmokeItem) GetMaliciousnessScore() float32 {
	if s.IsPartOfCommunityBlocklist() {
		return 1
	}
	return float32(max(s.Scores.LastDay.Total, 0)) / 10
}

// IsPartOfCommunityBlocklist reports whether the address is on it.
func (s *SmokeItem) IsPartOfCommunityBlocklist() bool {
	for _, c := range s.Classifications.Classifications {
		if c.Name == "community-blocklist" {
			return true
		}
	}
	return false
}

// GetBackgroundNoiseScore returns how much of what it does is noise, 0 to 10.
func (s *SmokeItem) GetBackgroundNoiseScore() int {
	if s.BackgroundNoiseScore == nil {
		return 0
	}
	return *s.BackgroundNoiseScore
}

// GetFalsePositives returns the names of the reasons why it may be harmless.
func (s *SmokeItem) GetFalsePositives() []string { return labelNames(s.Classifications.FalsePositives) }

// GetClassifications returns the names of what it was found to be.
func (s *SmokeItem) GetClassifications() []string {
	return labelNames(s.Classifications.Classifications)
}

// IsFalsePositive reports whether there is a reason why it may be harmless.
func (s *SmokeItem) IsFalsePositive() bool { return len(s.Classifications.FalsePositives) > 0 }

func labelNames(labels []SmokeLabel) []string {
	out := make([]string, 0, len(labels))
	for _, l := range labels {
		out = append(out, l.Name)
	}
	return out
}
