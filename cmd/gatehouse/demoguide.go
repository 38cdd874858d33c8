package main

import (
	"fmt"
	"io"

	"gatehouse/cmd/sampleapps"
)

const demoGuide = `
Gatehouse demo

  Open %[1]s and sign in. Every password is %[2]s
       ana   an employee        ben   a contractor        ada   the administrator: menu, Console

  SAML
   1. As ana, click the tile Your Benefits: you arrive signed in (IdP-initiated).
      Or open the app first: %[3]s (SP-initiated)
   2. As ada, connect an app: Console, Apps, Add app, named Room Booking, metadata URL
        %[4]s
      Allow the profile Contractors, then look at ben's tiles again.
   3. As ben, "Ask for an app" in the menu: Payroll Console; as ada, answer under "Requests for you".
   4. As ana, open two apps, then sign out of one: the other one is signed out too, and the page says so.

  OAuth 2.0 and OpenID Connect: each app's page shows what is sent, what comes back and what to try
   5. %-17[5]s %[6]s a web app: sign in, then "Show my orders" from its API
   6. %-17[7]s %[8]s a phone: no secret, a new loopback port at each sign-in
   7. %-17[9]s %[10]s or its tile: the portal asks the app to begin
   8. %-17[11]s %[12]s a partner registers a client by itself; each call is introspected
   9. %-17[13]s %[14]s employees only, tokens that die. As ada in a private window,
      Console, Apps, Travel Planner, block it: the next call is refused

  Passkeys: %[1]s/account, "Ways to sign in". Command line: bin/gatehouse app list --data DIR (make build makes it)
  Data: %[15]s    Stop: Ctrl-C
`

// printGuide says what to click.
func printGuide(out io.Writer, url, data string, apps *sampleapps.Apps) error {
	words := []any{url, demoPassword, apps.List()[0].SignInURL(), apps.List()[2].EntityID()}
	for _, app := range apps.Clients() {
		words = append(words, app.Name(), app.URL())
	}
	_, err := fmt.Fprintf(out, demoGuide, append(words, data)...)
	return err
}
