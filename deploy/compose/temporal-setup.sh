#!/bin/sh
# Creates the namespace, if it is missing, and the search attributes that Mailroom's
# workflows set. Safe to repeat. Address and namespace: TEMPORAL_ADDRESS,
# TEMPORAL_NAMESPACE; how long finished emails stay in the Web UI: TEMPORAL_RETENTION.
set -eu

try=0
until temporal operator cluster health >/dev/null 2>&1; do
	try=$((try + 1))
	if [ "$try" -ge 60 ]; then
		echo "temporal at $TEMPORAL_ADDRESS does not become healthy" >&2
		exit 1
	fi
	sleep 1
done

if ! temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; then
	temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$TEMPORAL_RETENTION"
fi

# A new namespace takes a moment until every part of the server knows it.
try=0
until temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" \
	--name MailState --type Keyword \
	--name MailReason --type Keyword \
	--name MailTenant --type Keyword \
	--name MailSource --type Keyword \
	--name MailRoute --type Keyword \
	--name MailDestinations --type KeywordList; do
	try=$((try + 1))
	[ "$try" -lt 30 ] || exit 1
	sleep 1
done
