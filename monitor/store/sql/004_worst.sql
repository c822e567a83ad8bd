-- The worst that an incident was: one that went out as a degradation may have been an outage. Never less than `impact`.

ALTER TABLE incidents ADD COLUMN worst TEXT NOT NULL DEFAULT 'degradation';

-- Of those there are, what was told of them says so, as far as it is kept.

UPDATE incidents SET worst = 'outage' WHERE impact = 'outage' OR EXISTS (
    SELECT 1 FROM events WHERE stream = incidents.id AND CASE WHEN json_valid(CAST(body AS TEXT))
        THEN json_extract(CAST(body AS TEXT), '$.incident.impact') = 'outage' END
);
