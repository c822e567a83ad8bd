"""Events as signed JSON to any URL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, ClassVar, Final

from monitor.sinks import _formats, _signing
from monitor.sinks._checks import LONGEST, check_header, check_timeout, check_url
from monitor.sinks._formats import Format
from monitor.sinks._told import read
from monitor.sinks.contract import Nature, SendFailed, Sink, SinkContext
from monitor.store.contract import Delivery
from probes.contract import BadField, Secret, check_fields

_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Webhook(Sink):
    """POSTs every event, in order, signed by Standard Webhooks: as JSON of ours, as a CloudEvent, as Alertmanager
    would, or by a template of yours.

    ```yaml
    sinks:
      hook:
        type: webhook
        url: https://ops.example.com/hooks/brownout
        secret: "${HOOK_SECRET}"
        headers: {authorization: "Bearer ${HOOK_TOKEN}"}
    ```

    The headers `webhook-id` (the same on every attempt: drop what you have seen), `webhook-timestamp` (of this
    attempt) and `webhook-signature` are those of the Standard Webhooks libraries, so verifying takes three lines.
    Any 2xx accepts. Network errors, timeouts, 408, 425, 429 and 5xx are tried again, over some days, and a
    `Retry-After` is honoured up to an hour; any other answer, a redirect too, makes a dead letter at once.

    **`format: cloudevents`** wraps the event in CloudEvents 1.0 (structured mode); `type` is `brownout.` and the
    event's own, `data` the event. The signature is there as well.

    **`format: alertmanager`** sends what Alertmanager sends to a webhook (version 4), which most escalation tools
    take:

    - Grafana IRM: *Integrations*, *New integration*, *Alertmanager*; copy its URL.
    - Rootly: *Alerts*, *Sources*, *Alertmanager*; copy the URL, and put its token into `headers`.
    - GoAlert: *Services*, *Integration Keys*, type *Prometheus Alertmanager*; copy the URL, its token is in it.

    ```yaml
    sinks:
      irm:
        type: webhook
        url: "${IRM_URL}"
        format: alertmanager
    ```

    An incident is a group; an outage in it is an alert of `severity` `critical`, a degradation of `warning`, with the
    labels that [alertmanager](alertmanager.md) tells of. What opens and ends no alert is not sent.

    **`template`** makes the body of anything else, in the language of Jinja2:

    ```yaml
    sinks:
      other:
        type: webhook
        url: "${OTHER_URL}"
        template: >-
          {"text": {{ event.sentence | tojson }}, "level": "{{ class }}", "key": {{ key | tojson }}}
    ```

    It knows `event` (all fields of [the event](../events.md#fields)), `class` (`outage`, `degraded`, `recovered`,
    `unknown`, `mark`), `key` (the same for all of one incident) and `title`. What an event does not have is empty.
    It is tried when the configuration is read. What a target has written is never read as a template, and `tojson`
    makes a JSON text of it, with quotes. It is sandboxed: figures may be multiplied, texts may not, a body has at
    most 256 KiB, and so has all that is made on the way to it, which may take a quarter of a second.
    """

    kind: ClassVar[str] = "webhook"
    nature: ClassVar[Nature] = Nature.LOG

    url: Annotated[str, "where to POST; http or https"] = field(repr=False)
    secret: Annotated[
        tuple[Secret, ...],
        "signs the body: `whsec_` and base64 of 24 to 64 bytes, or any other text as it is. Two while you change "
        "it, the new one first: both sign. None: unsigned",
    ] = ()
    headers: Annotated[Mapping[str, Secret], "sent along, for example `authorization`; their values stay secret"] = (
        field(default_factory=dict)
    )
    timeout: Annotated[timedelta, "how long one attempt may take, at most 20s"] = LONGEST

    format: Annotated[Format, "what the body is: Brownout's event, a CloudEvent, or Alertmanager's webhook"] = (
        Format.EVENT
    )
    template: Annotated[str | None, "makes the body instead (Jinja2)"] = None
    content_type: Annotated[str, "of what the template makes; of a type of JSON, it must make JSON"] = _JSON

    def __post_init__(self) -> None:
        check_fields(
            self._check_template,
            lambda: check_url(self.url),
            *(partial(_check_secret, secret) for secret in self.secret),
            *(partial(check_header, name, value.reveal()) for name, value in self.headers.items()),
            lambda: check_timeout(self.timeout),
        )

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        memory = dict(context.memory)
        request = self._request(delivery, memory, context.now)
        if request is not None:
            await self._post(request, context)
        context.memory.clear()
        context.memory.update(memory)

    def _request(self, delivery: Delivery, memory: dict[str, Any], now: datetime) -> _formats.Request | None:
        if self.template is not None:
            from monitor.sinks import _template  # brings jinja2, which only who has a template needs

            try:
                body = _template.render(self.template, read(delivery), as_json=self._makes_json)
            except _template.Unusable as error:
                raise SendFailed(str(error), permanent=True) from None
            return _formats.Request(delivery.event_id, self.content_type, body)
        match self.format:
            case Format.CLOUDEVENTS:
                return _formats.cloudevent(read(delivery), delivery)
            case Format.ALERTMANAGER:
                return _formats.alerts(read(delivery), delivery, memory, now)
            case _:
                return _formats.event(delivery)

    async def _post(self, request: _formats.Request, context: SinkContext) -> None:
        from monitor.sinks import _http  # brings httpx, which only an agent that sends needs

        keys = [_signing.key_of(secret.reveal()) for secret in self.secret]
        headers = {name.lower(): value.reveal() for name, value in self.headers.items()}
        headers |= {"content-type": request.content_type}
        headers |= _signing.headers(keys, request.id, context.now, request.body)
        seconds = self.timeout.total_seconds()
        await _http.post(context.client, self.url, request.body, headers, seconds=seconds, now=context.now)

    @property
    def _makes_json(self) -> bool:
        return self.content_type.partition(";")[0].strip().lower().endswith("json")

    def _check_template(self) -> None:
        if self.template is None:
            if self.content_type != _JSON:
                raise BadField("content_type", "is for a template: the formats have types of their own")
            return
        if self.format is not Format.EVENT:
            raise BadField("template", "and format: write one of them")
        if not self.content_type.isascii() or not self.content_type.isprintable() or "/" not in self.content_type:
            raise BadField("content_type", "must be a media type, such as text/plain; charset=utf-8")
        from monitor.sinks import _template  # as above

        _template.check(self.template, as_json=self._makes_json)


def _check_secret(secret: Secret) -> None:
    try:
        _signing.key_of(secret.reveal())
    except ValueError as error:
        raise BadField("secret", str(error)) from None
