package flow

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"gatehouse/sp"
)

// LogoRoot is where the pictures of apps are served: our copies, never the apps' own servers.
const LogoRoot = "/app-logo/"

// LogoPath is where an app's picture is served, under a name that changes with its address; empty where it has none.
func LogoPath(app, url string) string {
	if url == "" {
		return ""
	}
	return LogoRoot + app + "/" + LogoVersion(url)
}

// LogoVersion names the address of a picture.
func LogoVersion(url string) string {
	sum := sha256.Sum256([]byte(url))
	return hex.EncodeToString(sum[:8])
}

// Shown is how an app presents itself to whoever sent a request, in their browser's language.
func Shown(r *http.Request, app *sp.App) sp.Shown { return app.Shown(r.Header.Get("Accept-Language")) }
