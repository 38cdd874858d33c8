package directory

// SMTP is the mail server of an organisation. It is set up when URL and From are there.
type SMTP struct {
	URL      string `json:"url,omitempty"`      // without the password
	Password []byte `json:"password,omitempty"` // sealed by the caller
	From     string `json:"from,omitempty"`
	Quiet    bool   `json:"quiet,omitempty"` // no notices to people about their account
}

// SendsMail tells whether a mail server is set up.
func (s *Settings) SendsMail() bool { return s.SMTP.URL != "" && s.SMTP.From != "" }

// SendsNotices tells whether people are told about their account by mail.
func (s *Settings) SendsNotices() bool { return s.SendsMail() && !s.SMTP.Quiet }

// Sender is the name that mails come from, and how they call the organisation.
func (s *Settings) Sender() string { return or(s.Name, "Gatehouse") }

func mailKeys() []key[Settings] {
	notices := flag("smtp.notices", func(s *Settings) *bool { return &s.SMTP.Quiet })
	return []key[Settings]{
		{"smtp.url", "", func(s *Settings) string { return s.SMTP.URL }, setMailServer},
		text("smtp.from", "", maxEmail, func(s *Settings) *string { return &s.SMTP.From }, checkAddress("smtp.from")),
		{"smtp.notices", "true", func(s *Settings) string {
			if s.SMTP.Quiet {
				return "false"
			}
			return ""
		}, func(s *Settings, value string) error {
			if err := notices.set(s, value); err != nil {
				return err
			}
			s.SMTP.Quiet = value == "false"
			return nil
		}},
	}
}

// setMailServer only undoes: a password is sealed by the caller, who sets both parts.
func setMailServer(s *Settings, value string) error {
	if value != "" {
		return refuse("smtp.url is set with its password sealed")
	}
	s.SMTP.URL, s.SMTP.Password = "", nil
	return nil
}
