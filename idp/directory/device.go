package directory

import (
	"slices"

	"gatehouse/store"
)

// maxDevices is how many browsers of a person are remembered.
const maxDevices = 20

// SeenDevice notes that a person signed in with a browser, named by the secret of its cookie, and tells whether it is a new one
// to somebody who has signed in before. It writes nothing for a known one.
func SeenDevice(tx store.Tx, user, secret string) (isNew bool, err error) {
	activity, err := activityOf(tx, user)
	if err != nil {
		return false, err
	}
	device := linkID(secret)[:32]
	if slices.Contains(activity.Devices, device) {
		return false, nil
	}
	isNew = len(activity.Devices) > 0
	activity.Devices = append(activity.Devices[max(0, len(activity.Devices)-maxDevices+1):], device)
	return isNew, Activities.Put(tx, &activity)
}
