package slo

type alertmanager struct {
	Route        route      `yaml:"route"`
	InhibitRules []inhibit  `yaml:"inhibit_rules"`
	Receivers    []receiver `yaml:"receivers"`
}

type route struct {
	Receiver       string   `yaml:"receiver"`
	GroupBy        []string `yaml:"group_by,omitempty,flow"`
	GroupWait      string   `yaml:"group_wait,omitempty"`
	GroupInterval  string   `yaml:"group_interval,omitempty"`
	RepeatInterval string   `yaml:"repeat_interval,omitempty"`
	Matchers       []string `yaml:"matchers,omitempty,flow"`
	Routes         []route  `yaml:"routes,omitempty"`
}

type inhibit struct {
	SourceMatchers []string `yaml:"source_matchers,flow"`
	TargetMatchers []string `yaml:"target_matchers,flow"`
	Equal          []string `yaml:"equal,flow"`
}

type receiver struct {
	Name     string    `yaml:"name"`
	Webhooks []webhook `yaml:"webhook_configs,omitempty"`
}

type webhook struct {
	URL          string `yaml:"url"`
	SendResolved bool   `yaml:"send_resolved"`
}

// Alertmanager returns Alertmanager's configuration. Its receivers, page and ticket, have no
// integration: who is woken, and how, is the operator's to say. Until then alerts are shown
// by Alertmanager's page and API.
func Alertmanager() ([]byte, error) { return encode(routes()) }

// AlertmanagerWith is the same with a webhook for each receiver, which is told when alerts fire
// and when they end.
func AlertmanagerWith(webhookURL string) ([]byte, error) {
	out := routes()
	for i := range out.Receivers {
		out.Receivers[i].Webhooks = []webhook{{URL: webhookURL, SendResolved: true}}
	}
	return encode(out)
}

func routes() alertmanager {
	severity := func(s Severity) string { return `severity="` + string(s) + `"` }
	return alertmanager{
		Route: route{
			// An alert without a severity is not lost.
			Receiver: string(Ticket), GroupBy: []string{"alertname", "dependency", "slo"},
			GroupWait: "30s", GroupInterval: "5m", RepeatInterval: "3d",
			Routes: []route{{
				Receiver: string(Page), Matchers: []string{severity(Page)},
				GroupWait: "10s", GroupInterval: "1m", RepeatInterval: "1h",
			}},
		},
		InhibitRules: []inhibit{
			// Who is woken needs no ticket about the same.
			{SourceMatchers: []string{severity(Page)}, TargetMatchers: []string{severity(Ticket)}, Equal: []string{"alertname", "slo", "dependency"}},
			// A database that is away does not exhaust its pools as well.
			{SourceMatchers: []string{`alertname="PostgresDown"`}, TargetMatchers: []string{`alertname="PostgresPoolExhausted"`}, Equal: []string{"job"}},
		},
		Receivers: []receiver{{Name: string(Page)}, {Name: string(Ticket)}},
	}
}
